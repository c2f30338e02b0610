/**
 * Runs the app's onDrain() hooks, all at once, bounded by the drain's deadline. What they throw is told and changes nothing.
 */
import type { DrainHook } from './face.ts';
import { say } from './say.ts';

/** Never rejects. */
export async function runHooks(hooks: Iterable<DrainHook>, deadlineMs: number): Promise<void> {
  const ending = new AbortController();
  const results = Promise.all([...hooks].map((hook) => runHook(hook, deadlineMs, ending.signal)));
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      ending.abort();
      resolve();
    }, deadlineMs);
    void results.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

async function runHook(hook: DrainHook, deadlineMs: number, signal: AbortSignal): Promise<void> {
  try {
    await hook({ deadlineMs, signal });
  } catch (error) {
    say(`an onDrain hook failed: ${error instanceof Error ? error.message : String(error)}, ignoring`);
  }
}
