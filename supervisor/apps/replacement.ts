/**
 * A reload in `replace` mode: for apps without lent sockets, or that must never run twice. One slot at a time: the old worker drains and
 * ends, the new one starts in its place and must be ready and steady; then the next. If a new one fails, the app fills the slots that
 * were given up with the old spec again, once nothing of the new one is left.
 */
import type { Env } from '../env.ts';
import type { Slot } from '../slots/slot.ts';
import type { Generation } from './generation.ts';

export class Replacement {
  readonly #old: Generation;
  readonly #new: Generation;
  readonly #minHealthyMs: number;
  readonly #env: Env;
  readonly #onDone: () => void;
  #index = -1;
  #isOver = false;

  constructor(old: Generation, fresh: Generation, minHealthyMs: number, env: Env, onDone: () => void) {
    this.#old = old;
    this.#new = fresh;
    this.#minHealthyMs = minHealthyMs;
    this.#env = env;
    this.#onDone = onDone;
  }

  /** While it is, nobody may conclude that the new generation is up. */
  get isBusy(): boolean {
    return !this.#isOver;
  }

  begin(): void {
    this.#next();
  }

  /** An old worker has left its slot: the new one takes it. */
  slotGone(slot: Slot): void {
    if (!this.#isOver && slot.generation === this.#old.number && slot.index === this.#index) this.#new.startSlot(slot.index);
  }

  slotReady(slot: Slot): void {
    if (slot.generation !== this.#new.number || slot.index !== this.#index) return;
    this.#env.after(this.#minHealthyMs, () => {
      if (!this.#isOver && slot.state === 'ready' && slot.index === this.#index) this.#next();
    });
  }

  /** The reload failed, or the app stops. */
  abandon(): void {
    this.#isOver = true;
  }

  #next(): void {
    this.#index++;
    if (this.#index >= this.#new.size) {
      this.#isOver = true;
      return this.#onDone();
    }
    const old = this.#old.slots.get(this.#index);
    // A slot without a process, also one that waits to start again, answers at once that it is gone.
    if (old === undefined) this.#new.startSlot(this.#index);
    else old.dispatch({ type: 'drain', reason: 'replaced by a new generation' });
  }
}
