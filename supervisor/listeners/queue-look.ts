/** Waits for connections that their workers have still to accept. */
import type { Env } from '../env.ts';

/** A queue counts as empty when it was so this often in a row: a handshake under way ends within that on a near network. */
const LOOK_MS = 25;
const LOOKS = 4;

/** Resolves when every queue was empty for so long, at `deadlineMs` of the monotonic clock, or when `depths` has none: nobody accepts any more. */
export async function queuesEmptied(env: Env, deadlineMs: number, depths: () => readonly number[]): Promise<void> {
  for (let empty = 0; empty < LOOKS && env.nowMs() < deadlineMs;) {
    await new Promise<void>((resolve) => env.after(LOOK_MS, resolve));
    const now = depths();
    if (now.length === 0) return;
    empty = now.every((depth) => depth === 0) ? empty + 1 : 0;
  }
}
