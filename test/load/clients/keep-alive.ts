/**
 * c connections kept open, a request on each after a think time; plain or TLS. On plain HTTP/1 a hand-over leaves `opened` at c;
 * a connection may close only after a response that says `Connection: close`, or between messages.
 */
import { type Client, answerOf, loop, newToken, think } from '../run.ts';
import { Kept } from './kept.ts';

export const keepAlive: Client = async (run) => {
  const { counter, deadlineMs } = run;
  const kept = new Kept(run);
  await loop(run, async (index) => {
    const token = newToken();
    const startedAtMs = performance.now();
    counter.request();
    try {
      const wire = await kept.hold(index);
      wire.write(`GET /?token=${token} HTTP/1.1\r\nHost: load\r\n\r\n`);
      const { status, body, close } = await wire.response({ deadlineMs });
      counter.answer(answerOf(status, body), token, startedAtMs);
      if (close) kept.drop(index);
    } catch (error) {
      kept.drop(index);
      throw error;
    }
    await think(run);
  });
  kept.closeAll();
};
