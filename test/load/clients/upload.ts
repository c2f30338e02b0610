/** Sends 3 MB POST bodies in pieces with pauses; the app answers how many bytes came and their SHA-1. */
import { createHash } from 'node:crypto';
import { type Client, answerOf, loop, newToken, rest, think } from '../run.ts';
import { LARGE_BYTES } from '../options.ts';
import { Lost } from '../tally.ts';
import { Kept } from './kept.ts';

const PIECE_BYTES = 65_536;
const PAUSE_MS_MAX = 15;

export const upload: Client = async (run) => {
  const { counter, deadlineMs } = run;
  const kept = new Kept(run);
  await loop(run, async (index) => {
    const token = newToken();
    const body = Buffer.alloc(LARGE_BYTES, token);
    const startedAtMs = performance.now();
    counter.request();
    try {
      const wire = await kept.hold(index);
      const response = wire.response({ deadlineMs });
      // Thrown by the await below; the pieces in between must not let it go unhandled.
      response.catch(() => undefined);
      wire.write(
        `POST /echo?token=${token} HTTP/1.1\r\nHost: load\r\nContent-Type: application/octet-stream\r\nContent-Length: ${body.length}\r\n\r\n`,
      );
      for (let at = 0; at < body.length && wire.failure === null; at += PIECE_BYTES) {
        await wire.send(body.subarray(at, at + PIECE_BYTES));
        await rest(run, Math.random() * PAUSE_MS_MAX);
      }
      const { status, body: text, close } = await response;
      const answer = answerOf(status, text);
      if (answer.bytes !== body.length || answer.sha1 !== createHash('sha1').update(body).digest('hex'))
        throw new Lost('body', `sent ${body.length} bytes, the app got ${answer.bytes ?? 'none'} (${answer.sha1 ?? ''})`);
      counter.answer(answer, token, startedAtMs);
      if (close) kept.drop(index);
    } catch (error) {
      kept.drop(index);
      throw error;
    }
    await think(run);
  });
  kept.closeAll();
};
