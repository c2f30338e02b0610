/** Writes each request's head in two halves across a pause: a half-written head is not "between messages". */
import { type Client, answerOf, loop, newToken, rest, think } from '../run.ts';
import { Kept } from './kept.ts';

const PAUSE_MS_MAX = 60;

export const halfHead: Client = async (run) => {
  const { counter, deadlineMs } = run;
  const kept = new Kept(run);
  await loop(run, async (index) => {
    const token = newToken();
    const startedAtMs = performance.now();
    const head = `GET /?token=${token} HTTP/1.1\r\nHost: load\r\nX-Padding: ${'x'.repeat(200)}\r\n\r\n`;
    const at = 1 + Math.floor(Math.random() * (head.length - 2));
    counter.request();
    try {
      const wire = await kept.hold(index);
      const response = wire.response({ deadlineMs });
      // The pause below must not let a loss go unhandled; it is thrown by the await after it.
      response.catch(() => undefined);
      await wire.send(head.slice(0, at));
      await rest(run, Math.random() * PAUSE_MS_MAX);
      wire.write(head.slice(at));
      const { status, body, close } = await response;
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
