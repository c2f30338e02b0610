/**
 * A listening socket may be without a worker of its own: its slot was scaled away or crashed, its half is the one that a reload has left. What waits in
 * its queue, or is still shaking hands, would be reset if the socket were closed and wait in vain if it were left. So a worker that takes accepts
 * from it as well, until it has one of its own. Sockets change hands, connections never do.
 */

/** A worker that gets connections now. */
export interface Taker {
  readonly generation: number;
  readonly slot: number;
}

/** A socket without a worker of its own. */
export interface Vacancy {
  readonly slot: number;
  readonly half: 0 | 1;
  readonly fd: number;
}

/** Tells a worker to accept from that socket, or (`fd` null) to stop. False when it cannot be told. */
export type TellStandIn = (taker: Taker, vacancy: Pick<Vacancy, 'slot' | 'half'>, fd: number | null) => boolean;

interface Standing {
  readonly taker: Taker;
  readonly vacancy: Pick<Vacancy, 'slot' | 'half'>;
}

export class StandIns {
  readonly #tell: TellStandIn;
  readonly #standing = new Map<string, Standing>();

  constructor(tell: TellStandIn) {
    this.#tell = tell;
  }

  /** Tells only what has changed; the new one before the old, for two may accept and nobody may not. */
  update(takers: readonly Taker[], vacancies: readonly Vacancy[]): void {
    const vacant = new Set(vacancies.map(keyOf));
    for (const [key, { taker, vacancy }] of this.#standing) {
      if (vacant.has(key)) continue;
      this.#standing.delete(key);
      // One that left, or whose server is closed, has let go by itself.
      if (takers.some((one) => isSame(one, taker))) this.#tell(taker, vacancy, null);
    }
    for (const vacancy of vacancies) this.#fill(takers, vacancy);
  }

  /** The sockets are closed: who stood in has stopped with the listener. */
  clear(): void {
    this.#standing.clear();
  }

  #fill(takers: readonly Taker[], vacancy: Vacancy): void {
    const key = keyOf(vacancy);
    const standing = this.#standing.get(key)?.taker;
    const before = takers.find((taker) => isSame(taker, standing));
    if (before !== undefined) return;
    // In turns, so that they are spread over those who take.
    const turn = vacancy.slot % Math.max(1, takers.length);
    const now = [...takers.slice(turn), ...takers.slice(0, turn)].find((taker) => this.#tell(taker, vacancy, vacancy.fd));
    if (now === undefined) this.#standing.delete(key);
    else this.#standing.set(key, { taker: now, vacancy });
  }
}

/** Where the kernel hashes (slot → socket): it goes on choosing the socket of a slot whose worker only boots. */
export function untaken(sockets: ReadonlyMap<number, number>, takers: readonly Taker[]): Vacancy[] {
  return [...sockets].filter(([slot]) => takers.every((taker) => taker.slot !== slot)).map(([slot, fd]) => ({ slot, half: 0, fd }));
}

/**
 * Where its program chooses, of each half: what a worker left behind that has no successor. A successor's own is left to it, for the program leaves it out
 * until then, and a probe of it must reach nobody else.
 */
export function unheld(
  halves: readonly [ReadonlyMap<number, number>, ReadonlyMap<number, number>],
  isHeld: (slot: number, half: 0 | 1) => boolean,
): Vacancy[] {
  return ([0, 1] as const).flatMap((half) =>
    [...halves[half]].filter(([slot]) => !isHeld(slot, half)).map(([slot, fd]) => ({ slot, half, fd })),
  );
}

function keyOf({ slot, half }: Pick<Vacancy, 'slot' | 'half'>): string {
  return `${slot}/${half}`;
}

function isSame(one: Taker, other: Taker | undefined): boolean {
  return one.generation === other?.generation && one.slot === other.slot;
}
