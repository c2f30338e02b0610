/**
 * Connections that are kept: a client's loop asks `hold(index)` for its wire and gets the old one while that is usable. Counts
 * each one opened, each one the server closed between messages, and each one it reset there (a loss: no client can tell that
 * from a request that was thrown away).
 */
import { Lost } from '../tally.ts';
import type { Run } from '../run.ts';
import { Wire } from '../wire.ts';

export class Kept {
  readonly #run: Run;
  readonly #wires = new Map<number, Wire>();

  constructor(run: Run) {
    this.#run = run;
  }

  /** Throws Lost when there is no connection to be had; the caller has counted its request. */
  async hold(index: number): Promise<Wire> {
    const old = this.#wires.get(index);
    if (old !== undefined && !old.ended) return old;
    if (old !== undefined) this.#leave(index, old);
    const wire = await Wire.open(this.#run.options.target, this.#run.deadlineMs);
    this.#run.counter.opened();
    this.#wires.set(index, wire);
    return wire;
  }

  /** After a response that said close, or a loss. */
  drop(index: number): void {
    this.#wires.get(index)?.close();
    this.#wires.delete(index);
  }

  closeAll(): void {
    for (const wire of this.#wires.values()) wire.close();
  }

  #leave(index: number, wire: Wire): void {
    this.drop(index);
    this.#run.counter.closedIdle();
    if (!(wire.failure instanceof Lost) || wire.failure.loss !== 'reset') return;
    this.#run.counter.request();
    this.#run.counter.lose(new Lost('reset', 'between messages'));
  }
}
