/**
 * One generation of an app: what it runs, on which half, and its slots. Starts its workers a few at a time, and knows when all of it is
 * up: every worker ready, steady for `minHealthyMs`, and every listener that the generation before it served taken by as many workers, or, when
 * its environment is another, as many listeners.
 */
import type { Env, Timer } from '../env.ts';
import type { Half, Listener } from '../listeners/listener.ts';
import type { LogMark } from '../logs/log-store.ts';
import type { SlotHost } from '../slots/slot-host.ts';
import { Slot } from '../slots/slot.ts';
import type { Launch } from './launch.ts';

/** Listener key → how many workers must listen there. */
export type Coverage = ReadonlyMap<string, number>;

/** What a generation serves now: what the next one must serve too. */
export function coverageOf(listeners: readonly Listener[], generation: number): Coverage {
  return new Map(
    listeners.map((listener) => [listener.key, listener.listeners(generation).size] as const).filter(([, count]) => count > 0),
  );
}

export interface GenerationOrder {
  readonly number: number;
  readonly half: Half;
  readonly launch: Launch;
  readonly env: Readonly<Record<string, string>>;
  readonly size: number;
  readonly startConcurrency: number;
  /** Where the app's stderr ended before it began. */
  readonly logMark: LogMark;
}

export class Generation {
  readonly number: number;
  readonly half: Half;
  readonly launch: Launch;
  readonly env: Readonly<Record<string, string>>;
  readonly logMark: LogMark;
  readonly slots = new Map<number, Slot>();
  /** What the generation before it served; set for a reload. */
  coverage: Coverage = new Map();
  /** Its environment is another: each address may have another in its place. */
  mayMove = false;
  readonly #env: Env;
  readonly #host: SlotHost;
  readonly #startConcurrency: number;
  #size: number;
  #steadyTimer: Timer | null = null;
  #coverageTimer: Timer | null = null;

  constructor(env: Env, host: SlotHost, order: GenerationOrder) {
    this.#env = env;
    this.#host = host;
    this.number = order.number;
    this.half = order.half;
    this.launch = order.launch;
    this.env = order.env;
    this.logMark = order.logMark;
    this.#size = order.size;
    this.#startConcurrency = order.startConcurrency;
  }

  get size(): number {
    return this.#size;
  }

  /** How often `startConcurrency` goes into it. */
  get rounds(): number {
    return Math.ceil(this.#size / this.#startConcurrency);
  }

  get hasProcesses(): boolean {
    return [...this.slots.values()].some((slot) => slot.hasProcess);
  }

  /** Starts what is missing, at most `startConcurrency` at once; called again as each becomes ready. */
  fill(): void {
    let booting = [...this.slots.values()].filter((slot) => slot.state === 'spawning' || slot.state === 'booting').length;
    for (let index = 0; index < this.#size && booting < this.#startConcurrency; index++) {
      const state = this.slots.get(index)?.state;
      if (state !== undefined && state !== 'cold') continue;
      this.startSlot(index);
      booting++;
    }
  }

  startSlot(index: number): void {
    this.seat(index).dispatch({ type: 'start' });
  }

  /** The slot of that index, made when it is new. */
  seat(index: number): Slot {
    const slot = this.slots.get(index) ?? new Slot(this.#host, this.number, index, this.half);
    this.slots.set(index, slot);
    return slot;
  }

  /** More slots start; the highest leave. */
  resize(size: number, fills: boolean): void {
    this.#size = size;
    for (const slot of [...this.slots.values()]) if (slot.index >= size) slot.dispatch({ type: 'drain', reason: `scaled to ${size}` });
    if (fills) this.fill();
  }

  /** Starts anew what has left though it is wanted. */
  refill(): void {
    for (const slot of [...this.slots.values()]) if (slot.index < this.#size && slot.state === 'exited') this.slots.delete(slot.index);
    this.fill();
  }

  /** It serves from now on: its workers may read the datagram sockets that they share with the generation before. Told twice, no harm is done. */
  take(): void {
    if (this.launch.isNode) for (const slot of this.slots.values()) slot.worker?.send({ t: 'take' });
  }

  drain(reason: string): void {
    this.#settle();
    for (const slot of [...this.slots.values()]) slot.dispatch({ type: 'drain', reason });
  }

  kill(reason: string): void {
    this.#settle();
    for (const slot of [...this.slots.values()]) slot.dispatch({ type: 'kill', reason });
  }

  /**
   * Its workers are ready, and have so long to listen wherever those before them did: an app that is ready by its age may still be on its
   * way to listen(), but not for ever. `onLate` gets what is missing then.
   */
  expectCoverage(ms: number, listeners: readonly Listener[], onLate: (missing: string) => void): void {
    if ([...this.slots.values()].some((slot) => slot.state !== 'ready')) return;
    this.#coverageTimer ??= this.#env.after(ms, () => {
      const missing = this.#uncovered(listeners);
      if (missing !== null) onLate(`${missing} after ${ms} ms`);
    });
  }

  #settle(): void {
    this.#steadyTimer?.cancel();
    this.#coverageTimer?.cancel();
  }

  #uncovered(listeners: readonly Listener[]): string | null {
    const moved = this.mayMove ? listeners.filter(({ key }) => !this.coverage.has(key)) : [];
    const instead = moved.map((listener) => listener.listeners(this.number).size);
    for (const [key, before] of this.coverage) {
      const wanted = Math.min(before, this.#size);
      const got = listeners.find((listener) => listener.key === key)?.listeners(this.number).size ?? 0;
      if (got >= wanted) continue;
      const replaced = instead.findIndex((count) => count >= wanted);
      if (replaced === -1) return `${got} of ${wanted} workers listen on ${key}${this.mayMove ? ', or elsewhere instead' : ''}`;
      instead.splice(replaced, 1);
    }
    return null;
  }

  /** null when all of it is up; else what is missing, in words. Looks again by itself when only time is missing, and tells `onUp`. */
  missing(listeners: readonly Listener[], minHealthyMs: number, onUp: () => void): string | null {
    const slots = [...this.slots.values()].filter((slot) => slot.index < this.#size);
    const leaving = [...this.slots.values()].filter((slot) => slot.index >= this.#size && slot.hasProcess).length;
    if (leaving > 0) return `${leaving} workers more than wanted are leaving`;
    const ready = slots.filter((slot) => slot.state === 'ready');
    if (ready.length < this.#size) return `${this.#size - ready.length} of ${this.#size} workers are not ready`;
    const uncovered = this.#uncovered(listeners);
    if (uncovered !== null) return uncovered;
    const youngestMs = Math.max(...ready.map((slot) => slot.readyAtMs ?? 0));
    const restMs = youngestMs + minHealthyMs - this.#env.nowMs();
    this.#steadyTimer?.cancel();
    if (restMs <= 0) return null;
    this.#steadyTimer = this.#env.after(restMs + 1, onUp);
    return `its workers are ready for less than ${minHealthyMs} ms`;
  }
}
