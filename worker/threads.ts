/**
 * worker_threads of this process: they listen on lent sockets too, but have no channel of their own. What they have to tell goes through
 * the main thread over a BroadcastChannel, and a drain comes to them the same way.
 *
 * The main thread opens its end with the app's first thread. A thread may have told something before that (the main thread was
 * busy), so the opening asks `who`, and every thread answers with its state.
 */
import type { Worker } from 'node:worker_threads';
import type { DrainCounts, StandInNotice, WorkerMessage } from '../supervisor/protocol/worker-wire.ts';
import type { DrainOrder } from './drain.ts';
import type { Report } from './report.ts';

const NAME = 'covet-pm';

type ToThreads =
  | { readonly to: 'threads'; readonly ask: 'who' }
  | { readonly to: 'threads'; readonly ask: 'take' }
  | { readonly to: 'threads'; readonly ask: 'drain'; readonly order: DrainOrder }
  /** For that one; a descriptor is the process's. */
  | {
      readonly to: 'threads';
      readonly ask: 'standIn';
      readonly thread: number;
      readonly notice: StandInNotice;
      readonly fd: number | null;
    };
type ToMain = { readonly to: 'main'; readonly thread: number; readonly message: WorkerMessage };

type Heard = ToThreads | ToMain;

/** Loaded with the first thread, not before every app. */
const threadsModule = (): typeof import('node:worker_threads') => process.getBuiltinModule('node:worker_threads');

/** node:worker_threads' class as it is; @types/node gives it the web's. Keeps no thread alive. */
function openBroadcast(onMessage: (message: Heard) => void): (message: Heard) => void {
  const channel = new (threadsModule().BroadcastChannel)(NAME) as unknown as EventTarget & {
    postMessage(message: Heard): void;
    unref(): void;
  };
  channel.addEventListener('message', (event) => onMessage((event as Event & { data: Heard }).data));
  channel.unref();
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- an argument of windows
  return (message) => channel.postMessage(message);
}

/** The main thread's side. */
export class ThreadHub {
  readonly #report: Report;
  /** Thread id → what it listens on, and whether that is its own. */
  readonly #listeners = new Map<number, Map<string, Listening>>();
  readonly #draining = new Map<number, (counts: DrainCounts | null) => void>();
  #post: ((message: Heard) => void) | null = null;

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
  get listening(): readonly Listening[] {
    return [...this.#listeners.values()].flatMap((listeners) => [...listeners.values()]);
  }

  /** Drains each thread that listens; null for one that ended. */
  drain(order: DrainOrder): Promise<readonly (DrainCounts | null)[]> {
    const counts = [...this.#listeners.keys()].map(
      (thread) => new Promise<DrainCounts | null>((resolve) => this.#draining.set(thread, resolve)),
    );
    if (counts.length > 0) this.#post?.({ to: 'threads', ask: 'drain', order });
    return Promise.all(counts);
  }

  /** Passes it to the first that listens there, and the descriptor with it. False when none does. */
  standIn(notice: StandInNotice, fd: number | null): boolean {
    const [thread] = [...this.#listeners].find(([, listeners]) => listeners.has(notice.listener)) ?? [];
    if (thread === undefined) return false;
    this.#post?.({ to: 'threads', ask: 'standIn', thread, notice, fd });
    return true;
  }

  take(): void {
    this.#post?.({ to: 'threads', ask: 'take' });
  }

  #open(): void {
    if (this.#post !== null) return;
    this.#post = openBroadcast((message) => {
      if (message.to === 'main') this.#heard(message);
    });
    this.#post({ to: 'threads', ask: 'who' });
  }

  #heard({ thread, message }: ToMain): void {
    if (message.t === 'drained') return this.#settle(thread, message.counts);
    if (message.t === 'draining') return;
    const listeners = this.#listeners.get(thread) ?? new Map<string, Listening>();
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

type Listening = Extract<WorkerMessage, { t: 'listening' }>;

export interface ThreadCallbacks {
  onDrain(order: DrainOrder): void;
  onTake(): void;
  onWho(): void;
  onStandIn(notice: StandInNotice, fd: number | null): void;
}

/** A thread's side. */
export class ThreadReport implements Report {
  readonly #callbacks: ThreadCallbacks;
  readonly #thread = threadsModule().threadId;
  #post: ((message: Heard) => void) | null = null;

  constructor(callbacks: ThreadCallbacks) {
    this.#callbacks = callbacks;
  }

  tell(message: WorkerMessage): boolean {
    this.#post ??= openBroadcast((heard) => {
      if (heard.to === 'main') return;
      if (heard.ask === 'drain') this.#callbacks.onDrain(heard.order);
      else if (heard.ask === 'take') this.#callbacks.onTake();
      else if (heard.ask === 'who') this.#callbacks.onWho();
      else if (heard.thread === this.#thread) this.#callbacks.onStandIn(heard.notice, heard.fd);
    });
    this.#post({ to: 'main', thread: this.#thread, message });
    return true;
  }
}
