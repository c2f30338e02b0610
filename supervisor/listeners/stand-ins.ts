/**
 * Where the kernel spreads a listener's connections by its hash, it does so over every socket, also that of a slot without a worker:
 * scaled away, crashed, still booting. Closing or shutting such a socket would reset what waits in its queue or is still shaking hands, so a
 * worker that takes accepts from it as well, until the slot has one of its own. Sockets change hands, connections never do.
 */

/** A worker that gets connections now. */
export interface Taker {
  readonly generation: number;
  readonly slot: number;
}

/** Tells a worker to accept for a slot, from that descriptor, or without one to stop. False when it cannot be told. */
export type TellStandIn = (taker: Taker, slot: number, fd: number | null) => boolean;

export class StandIns {
  readonly #tell: TellStandIn;
  /** Slot → who accepts from its socket, if it has no worker of its own. */
  readonly #bySlot = new Map<number, Taker>();

  constructor(tell: TellStandIn) {
    this.#tell = tell;
  }

  /** `sockets`: slot → descriptor. Tells only what has changed; the new one before the old, for two may accept and nobody may not. */
  update(takers: readonly Taker[], sockets: ReadonlyMap<number, number>): void {
    const served = new Set(takers.map(({ slot }) => slot));
    for (const [slot, fd] of sockets) {
      // One that left, or whose server is closed, has let go by itself.
      const before = takers.find((taker) => isSame(taker, this.#bySlot.get(slot)));
      // In turns, so that the slots without a worker are spread over those with one.
      const turn = slot % Math.max(1, takers.length);
      const candidates = served.has(slot) ? [] : [...takers.slice(turn), ...takers.slice(0, turn)];
      const now = candidates.find((taker) => isSame(taker, before) || this.#tell(taker, slot, fd));
      if (before !== undefined && !isSame(before, now)) this.#tell(before, slot, null);
      if (now === undefined) this.#bySlot.delete(slot);
      else this.#bySlot.set(slot, now);
    }
  }

  /** The sockets are closed: who stood in has stopped with the listener. */
  clear(): void {
    this.#bySlot.clear();
  }
}

function isSame(one: Taker, other: Taker | undefined): boolean {
  return one.generation === other?.generation && one.slot === other.slot;
}
