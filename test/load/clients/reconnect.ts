/** One connection per request, `Connection: close`: what a proxy without a pool, or a crowd of first-time visitors, does. */
import { type Client, answerOf, loop, newToken, think } from '../run.ts';
import { Wire } from '../wire.ts';

export const reconnect: Client = async (run) =>
  loop(run, async () => {
    const { counter, options, deadlineMs } = run;
    const token = newToken();
    const startedAtMs = performance.now();
    counter.request();
    const wire = await Wire.open(options.target, deadlineMs);
    counter.opened();
    try {
      wire.write(`GET /?token=${token} HTTP/1.1\r\nHost: load\r\nConnection: close\r\n\r\n`);
      const { status, body } = await wire.response({ deadlineMs });
      counter.answer(answerOf(status, body), token, startedAtMs);
    } finally {
      wire.close();
    }
    await think(run);
  });
