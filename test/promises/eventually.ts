/**
 * Waits for what no event tells: another process's end as /proc shows it, a file, a port. Looks again and again until the deadline,
 * and then fails with what it last saw. Never shorter than ten seconds: a slow machine is not a broken promise.
 */
import { setTimeout as pause } from 'node:timers/promises';

const LOOK_MS = 20;
export const DEADLINE_MS = 20_000;

/** Resolves with what `look` returns once that is neither undefined nor false. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = DEADLINE_MS,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (performance.now() > end) throw new Error(`Expected ${what} within ${deadlineMs} ms`);
    await pause(LOOK_MS);
  }
}

/** Rejects with `what` when `promise` takes longer. */
export async function within<T>(what: string, promise: Promise<T>, deadlineMs = DEADLINE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Expected ${what} within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
