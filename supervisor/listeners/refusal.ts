/** While nobody listens, connections wait, but not for ever: when that is over, and what happens then. */
import type { Env, Timer } from '../env.ts';

export class Refusal {
  readonly #env: Env;
  readonly #waitMs: number;
  readonly #onDue: (reason: string) => void;
  #timer: Timer | null = null;

  constructor(env: Env, waitMs: number, onDue: (reason: string) => void) {
    this.#env = env;
    this.#waitMs = waitMs;
    this.#onDue = onDue;
  }

  /** Counts from the first of these calls in a row. */
  await(): void {
    this.#timer ??= this.#env.after(this.#waitMs, () => {
      this.#timer = null;
      this.#onDue(`no worker listened for ${this.#waitMs} ms`);
    });
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}
