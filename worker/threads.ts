/**
 * worker_threads of this process: they listen on lent sockets too, but have no channel of their own. What they have to tell goes through
 * the main thread over a BroadcastChannel, and a drain comes to them the same way.
 *
 * The main thread opens its end with the app's first thread. A thread may have told something before that (the main thread was
 * busy), so the opening asks `who`, and every thread answers with its state.
 */
import { BroadcastChannel, threadId, type Worker } from 'node:worker_threads';
import type { DrainCounts, WorkerMessage } from '../supervisor/protocol/worker-wire.ts';
import type { DrainOrder } from './drain.ts';
import type { Report } from './report.ts';

const NAME = 'covet-pm';

type ToThreads =
  | { readonly to: 'threads'; readonly ask: 'who' }
  | { readonly to: 'threads'; readonly ask: 'drain'; readonly order: DrainOrder };
type ToMain = { readonly to: 'main'; readonly thread: number; readonly message: WorkerMessage };

/** node:worker_threads' class as it is; @types/node gives it the web's. */
interface Broadcast {
  onmessage: (event: { readonly data: ToThreads | ToMain }) => void;
  postMessage(message: ToThreads | ToMain): void;
  unref(): void;
}

/** The main thread's side. */
export class ThreadHub {
  readonly #report: Report;
  /** Thread id → what it listens on, and whether that is its own. */
  readonly #listeners = new Map<number, Map<string, WorkerMessage>>();
  readonly #draining = new Map<number, (counts: DrainCounts | null) => void>();
  #channel: Broadcast | null = null;

  constructor(report: Report) {
    this.#report = report;
  }

  watch(): void {
    process.on('worker', (worker: Worker) => {
      this.#open();
      const thread = worker.threadId;
      worker.once('exit', () => this.#gone(thread));
    });
  }

  /** Lent listeners of all threads. */
  get listening(): readonly WorkerMessage[] {
    return [...this.#listeners.values()].flatMap((listeners) => [...listeners.values()]);
  }

  /** Drains each thread that listens; null for one that ended. */
  drain(order: DrainOrder): Promise<readonly (DrainCounts | null)[]> {
    const counts = [...this.#listeners.keys()].map(
      (thread) => new Promise<DrainCounts | null>((resolve) => this.#draining.set(thread, resolve)),
    );
    if (counts.length > 0) this.#channel?.postMessage({ to: 'threads', ask: 'drain', order });
    return Promise.all(counts);
  }

  #open(): void {
    if (this.#channel !== null) return;
    this.#channel = new BroadcastChannel(NAME) as unknown as Broadcast;
    this.#channel.onmessage = ({ data }) => {
      if (data.to === 'main') this.#heard(data);
    };
    this.#channel.unref();
    this.#channel.postMessage({ to: 'threads', ask: 'who' });
  }

  #heard({ thread, message }: ToMain): void {
    if (message.t === 'drained') return this.#settle(thread, message.counts);
    if (message.t === 'draining') return;
    const listeners = this.#listeners.get(thread) ?? new Map<string, WorkerMessage>();
    this.#listeners.set(thread, listeners);
    if (message.t === 'listening') {
      if (listeners.has(message.listener)) return;
      listeners.set(message.listener, message);
    } else if (message.t === 'closed') listeners.delete(message.listener);
    this.#report.tell(message);
  }

  #gone(thread: number): void {
    const listeners = this.#listeners.get(thread);
    this.#listeners.delete(thread);
    for (const listener of listeners?.keys() ?? []) this.#report.tell({ t: 'closed', listener });
    this.#settle(thread, null);
  }

  #settle(thread: number, counts: DrainCounts | null): void {
    this.#draining.get(thread)?.(counts);
    this.#draining.delete(thread);
  }
}

/** A thread's side. */
export class ThreadReport implements Report {
  readonly #onDrain: (order: DrainOrder) => void;
  readonly #onWho: () => void;
  #channel: Broadcast | null = null;

  constructor(onDrain: (order: DrainOrder) => void, onWho: () => void) {
    this.#onDrain = onDrain;
    this.#onWho = onWho;
  }

  tell(message: WorkerMessage): boolean {
    this.#open().postMessage({ to: 'main', thread: threadId, message });
    return true;
  }

  #open(): Broadcast {
    if (this.#channel !== null) return this.#channel;
    this.#channel = new BroadcastChannel(NAME) as unknown as Broadcast;
    this.#channel.onmessage = ({ data }) => {
      if (data.to === 'main') return;
      if (data.ask === 'drain') this.#onDrain(data.order);
      else this.#onWho();
    };
    this.#channel.unref();
    return this.#channel;
  }
}
