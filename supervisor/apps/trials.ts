/**
 * Code that changed on disk under a running generation. A crash restarts a worker from the paths its generation recorded, and what is there by
 * now may be another build, or half a deployment, that no reload has tried: such a worker is on trial until it was ready for
 * `minHealthyMs`. A listener has workers on trial in its set only when it has no other (listeners/listener.ts).
 */
import type { Slot } from '../slots/slot.ts';
import type { WorkerHandle } from '../slots/worker-handle.ts';
import type { App } from './app.ts';
import { fingerprint } from './launch.ts';

export class Trials {
  readonly #app: App;
  readonly #onTrial = new WeakSet<WorkerHandle>();
  /** The change that was announced last. */
  #announced = '';

  constructor(app: App) {
    this.#app = app;
  }

  /** A worker is about to run its script. */
  hired(slot: Slot, worker: WorkerHandle): void {
    if (this.#app.deps.env.faults.has('no-trial') || !this.#isChanged(slot)) return;
    this.#onTrial.add(worker);
  }

  /** From now on it is timed. Looks at the disk once more: the script may have changed until it was read. */
  ready(slot: Slot): void {
    const worker = slot.worker!;
    this.hired(slot, worker);
    if (!this.#onTrial.has(worker)) return;
    const { deps, config, name } = this.#app;
    deps.env.after(config.minHealthyMs, () => {
      if (slot.worker !== worker || slot.state !== 'ready') return;
      this.#onTrial.delete(worker);
      for (const listener of deps.registry.of(name)) listener.refresh();
    });
  }

  isOn(slot: Slot | undefined): boolean {
    return slot !== undefined && slot.worker !== null && this.#onTrial.has(slot.worker);
  }

  /** Why a crash of that slot's worker makes the app degraded; null when it was not on trial. */
  verdict(slot: Slot, reason: string): string | null {
    return this.isOn(slot) ? `${reason}; ${this.#pathOf(slot)} changed on disk since generation ${slot.generation}` : null;
  }

  #isChanged(slot: Slot): boolean {
    const { launch } = this.#app.generations.get(slot.generation)!;
    if (launch.fingerprint === '') return false;
    const now = fingerprint(launch.scriptPath);
    if (now === launch.fingerprint) return false;
    if (now !== this.#announced) {
      const { deps, name } = this.#app;
      deps.events.announce({ type: 'script.changed', app: name, generation: slot.generation, path: launch.scriptPath });
    }
    this.#announced = now;
    return true;
  }

  #pathOf(slot: Slot): string {
    return this.#app.generations.get(slot.generation)!.launch.scriptPath;
  }
}
