/** Reads 3 MB responses slowly; every byte is compared with what the app should have sent. */
import { type Client, loop, newToken, think } from '../run.ts';
import { LARGE_BYTES } from '../options.ts';
import { Lost } from '../tally.ts';
import { Kept } from './kept.ts';

const PAUSE_MS = 15;

export const slowDownload: Client = async (run) => {
  const { counter, deadlineMs } = run;
  const kept = new Kept(run);
  await loop(run, async (index) => {
    const token = newToken();
    const startedAtMs = performance.now();
    const expected = Buffer.alloc(LARGE_BYTES, token);
    let bytes = 0;
    let wrongAt = -1;
    counter.request();
    try {
      const wire = await kept.hold(index);
      wire.write(`GET /big?token=${token} HTTP/1.1\r\nHost: load\r\n\r\n`);
      const { status, headers, close } = await wire.response({
        deadlineMs,
        pauseMs: PAUSE_MS,
        onBody: (piece) => {
          if (wrongAt === -1 && !piece.equals(expected.subarray(bytes, bytes + piece.length))) wrongAt = bytes;
          bytes += piece.length;
        },
      });
      if (status !== 200) throw new Lost('status', String(status));
      if (wrongAt !== -1 || bytes !== LARGE_BYTES)
        throw new Lost('body', `${bytes} bytes of ${LARGE_BYTES}, first wrong one after ${wrongAt}`);
      counter.answer(
        { pid: Number(headers.get('x-pid')), slot: null, build: headers.get('x-build') ?? '', n: 0, token },
        token,
        startedAtMs,
      );
      if (close) kept.drop(index);
    } catch (error) {
      kept.drop(index);
      throw error;
    }
    await think(run);
  });
  kept.closeAll();
};
