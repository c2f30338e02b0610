/** Who listens on a listener: the slots of each generation whose worker has called listen() there. */
import type { Taker } from './stand-ins.ts';

export class Attendance {
  readonly #byGeneration = new Map<number, Set<number>>();

  add(generation: number, slot: number): void {
    this.#byGeneration.set(generation, (this.#byGeneration.get(generation) ?? new Set()).add(slot));
  }

  remove(generation: number, slot: number): void {
    this.#byGeneration.get(generation)?.delete(slot);
  }

  of(generation: number): ReadonlySet<number> {
    return this.#byGeneration.get(generation) ?? new Set();
  }

  /** Those of the generations that `counts`, by slot. */
  where(counts: (generation: number) => boolean): Taker[] {
    return [...this.#byGeneration]
      .filter(([generation]) => counts(generation))
      .flatMap(([generation, slots]) => [...slots].map((slot) => ({ generation, slot })))
      .sort((a, b) => a.slot - b.slot);
  }

  forget(generation: number): void {
    this.#byGeneration.delete(generation);
  }

  clear(): void {
    this.#byGeneration.clear();
  }
}
