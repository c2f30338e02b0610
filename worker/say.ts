/**
 * The one way the worker's side speaks to the operator: a line on the app's stderr. Synchronous, and never an error of its own: what
 * goes wrong in here must not reach the app.
 */
import { writeSync } from 'node:fs';

export function say(text: string): void {
  try {
    writeSync(2, `covet-pm: ${text}\n`);
  } catch {
    // stderr is closed or full; nobody to tell
  }
}

/** Runs something of ours inside the app: an unforeseen error is one line, and `fallback` is the result. */
export function guarded<T>(what: string, run: () => T, fallback: T): T {
  try {
    return run();
  } catch (error) {
    say(`${what} failed: ${error instanceof Error ? error.message : String(error)}, ignoring`);
    return fallback;
  }
}
