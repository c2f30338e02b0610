/**
 * Listeners that a reload leaves behind: with another environment its app listens elsewhere. From the flip on no connection begins there; the
 * old workers accept what is in their queues, then stop, and then the address is closed and free.
 */
import type { Listener } from '../listeners/listener.ts';
import type { App } from './app.ts';
import type { Generation } from './generation.ts';

export class LeftListeners {
  readonly #app: App;
  readonly #left = new Set<Listener>();

  constructor(app: App) {
    this.#app = app;
  }

  has(listener: Listener): boolean {
    return this.#left.has(listener);
  }

  /** At the flip to that generation. */
  leave({ mayMove, number }: Generation): void {
    const { deps, name, config } = this.#app;
    for (const listener of mayMove ? deps.registry.of(name) : []) {
      if (listener.listeners(number).size > 0) continue;
      this.#left.add(listener);
      void listener.deafen(config.drainTimeoutMs);
    }
  }

  /** No worker accepts there any more. */
  close(): void {
    for (const listener of this.#left) this.#close(listener, 'the new generation listens elsewhere');
    this.#left.clear();
  }

  /** The app ended, and all its listeners with it. */
  forget(): void {
    this.#left.clear();
  }

  /** Addresses that nobody but a generation which is given up listens on. One that was replaced slot by slot shares all of its own. */
  drop({ coverage, number }: Generation): void {
    const { deps, name, live } = this.#app;
    if (live === null || coverage.size === 0) return;
    for (const listener of deps.registry.of(name)) {
      const isItsOwn = !coverage.has(listener.key) && listener.listeners(live.number).size === 0;
      if (isItsOwn && listener.listeners(number).size > 0) this.#close(listener, 'its generation was given up');
    }
  }

  #close(listener: Listener, reason: string): void {
    const { deps, name } = this.#app;
    deps.registry.release(name, listener);
    void listener.close(reason);
  }
}
