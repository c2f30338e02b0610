/**
 * The drain of this thread's connections (DESIGN §5), begun by the supervisor when the slot is out of the set and its queue is empty.
 *
 *   drain ──► hooks and streams' ends begin ──► every 10 ms, and after each response: hand over, close what is due
 *     ──► nothing open, or the deadline: the rest is cut ──► drained, with counts
 *
 * The server itself is never closed: http.Server#close() would close idle connections with requests on their way. What still arrives
 * (handshakes that crossed the flip) is served, or handed over at once.
 */
import type { ServerResponse } from 'node:http';
import type { Native } from '../native/index.ts';
import type { DrainCounts, SupervisorMessage } from '../supervisor/protocol/worker-wire.ts';
import type { Connection, Connections, ConnectionWatcher } from './connections.ts';
import type { Datagrams } from './datagrams.ts';
import { countOpen, DrainTally, kindOf } from './drain-counts.ts';
import { Http1Drain, LINGER_MS } from './drain-http1.ts';
import { Http2Drain } from './drain-http2.ts';
import { isStream, StreamDrain } from './drain-streams.ts';
import { Heir } from './heir.ts';
import type { Report } from './report.ts';
import { guarded } from './say.ts';
import { closeStandIns, stopAccepting, type Servers } from './servers.ts';

const STEP_MS = 10;
const PROGRESS_MS = 250;
/** `heir` and `drain` come on two wires: the second may be read first. */
const HEIR_WAIT_MS = 1_000;

export type DrainOrder = SupervisorMessage & { t: 'drain' };

export interface DrainParts {
  readonly native: Native | null;
  readonly servers: Servers;
  readonly datagrams: Datagrams;
  readonly connections: Connections;
  readonly report: Report;
  /** The app's onDrain() hooks; resolves when all are done. */
  runHooks(deadlineMs: number): Promise<void>;
}

export class Drain implements ConnectionWatcher {
  readonly #parts: DrainParts;
  readonly #order: DrainOrder;
  readonly #startMs = performance.now();
  readonly #tally = new DrainTally();
  readonly #http1: Http1Drain;
  readonly #http2 = new Http2Drain();
  readonly #streams: StreamDrain;
  readonly #onDone: (counts: DrainCounts) => void;
  #timer: NodeJS.Timeout | null = null;
  #heir: Heir | null = null;
  #hooksDone = false;
  #isStepDue = false;
  #progressMs = 0;

  constructor(parts: DrainParts, order: DrainOrder, onDone: (counts: DrainCounts) => void) {
    this.#parts = parts;
    this.#order = order;
    this.#onDone = onDone;
    this.#streams = new StreamDrain(this.#tally, this.#startMs, order.deadlineMs);
    this.#http1 = new Http1Drain({
      native: parts.native,
      tally: this.#tally,
      idleGraceMs: order.idleGraceMs,
      lastCallMs: this.#startMs + Math.max(order.deadlineMs / 2, order.deadlineMs - LINGER_MS - 2 * STEP_MS),
      heir: () => this.#heir,
      mayHandOver: () => this.#mayHandOver(),
      onSettled: () => this.#wake(),
    });
  }

  /** The pair to a worker of the new generation; owned from now on. */
  useHeir(fd: number): void {
    if (this.#parts.native === null) return;
    this.#heir?.close();
    this.#heir = new Heir(new this.#parts.native.PacketSocket(fd), {
      onTaken: (connections) => this.#http1.taken(connections),
      onReturned: (connections) => this.#http1.returned(connections),
    });
    this.#wake();
  }

  /** So far. */
  get counts(): DrainCounts {
    return this.#tally.counts;
  }

  begin(): void {
    const { servers, datagrams, connections } = this.#parts;
    datagrams.beginDrain(this.#order.stopAccepting);
    for (const record of [...servers.listening]) {
      // Another has been told to. One that no supervisor knows of any more (it was told by one that died) would take what is the successor's.
      closeStandIns(record);
      if (!record.isLent || this.#order.stopAccepting.includes(record.listener ?? '')) stopAccepting(record);
    }
    connections.watcher = this;
    this.#http1.begin(servers.live);
    this.#streams.begin(this.#open().filter(isStream));
    for (const connection of this.#open()) if (connection.isAnswering) this.#http1.onRequest(connection, connection.response!);
    this.#timer = setInterval(() => this.#wake(), STEP_MS);
    void this.#parts.runHooks(this.#order.deadlineMs).then(() => {
      this.#hooksDone = true;
      this.#wake();
    });
    this.#wake();
  }

  onRequest(connection: Connection, response: ServerResponse): void {
    this.#http1.onRequest(connection, response);
  }

  onGone(connection: Connection): void {
    const { carrier } = connection;
    const kind = kindOf(connection);
    if (kind !== 'http1Idle' || carrier.readableEnded) this.#tally.settle(connection, 'drained', kind);
    else if (this.#http1.hasSaidClose(connection)) this.#tally.settle(connection, 'drained', 'http1');
    // Nobody but Node's keepAliveTimeout closes an idle connection whose client has not.
    else this.#tally.settle(connection, 'idleClosed');
    this.#wake();
  }

  /** Steps run right after the loop has read what had arrived, so that "idle" is true. */
  #wake(): void {
    if (this.#isStepDue || this.#isOver) return;
    this.#isStepDue = true;
    setImmediate(() => {
      this.#isStepDue = false;
      guarded('a step of the drain', () => this.#step(), undefined);
    });
  }

  #step(): void {
    const nowMs = performance.now();
    for (const record of [...this.#parts.servers.live]) this.#http1.step(record, nowMs);
    for (const connection of this.#open()) {
      if (connection.session !== null) this.#http2.begin(connection.session);
      else if (isStream(connection)) this.#streams.step(connection, nowMs);
    }
    const open = this.#open();
    if (nowMs >= this.#startMs + this.#order.deadlineMs) return this.#cut(open);
    const isAnswered = this.#hooksDone && !this.#parts.datagrams.isAnswering(nowMs);
    if (isAnswered) this.#parts.datagrams.endDrain();
    if (open.length === 0 && isAnswered && !this.#http1.isLingering) return this.#finish();
    if (nowMs < this.#progressMs + PROGRESS_MS) return;
    this.#progressMs = nowMs;
    this.#parts.report.tell({ t: 'draining', open: countOpen(open) });
  }

  #cut(open: readonly Connection[]): void {
    // Of those that wait in the heir's socket this closes our descriptor only: the heir may still take them.
    for (const connection of open) {
      this.#tally.settle(connection, 'cut');
      connection.carrier.destroy();
    }
    this.#finish();
  }

  #finish(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#heir?.close();
    this.#parts.datagrams.endDrain();
    this.#onDone(this.#tally.counts);
  }

  get #isOver(): boolean {
    return this.#timer === null;
  }

  #mayHandOver(): boolean {
    if (!this.#order.handOver) return false;
    const elapsedMs = performance.now() - this.#startMs;
    if (this.#heir === null) return elapsedMs < HEIR_WAIT_MS;
    return !this.#heir.isGone && elapsedMs < this.#order.deadlineMs / 2;
  }

  /** A connection on a Unix socket of the app's own, in a protocol of its own, is between the app and its parts: nobody's client. */
  #open(): Connection[] {
    const open: Connection[] = [];
    for (const { connections, isLent, listener } of this.#parts.servers.live)
      for (const connection of connections)
        if (isLent || connection.kind !== 'raw' || !listener?.startsWith('unix:')) open.push(connection);
    return open;
  }
}
