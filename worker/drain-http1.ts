/**
 * Draining HTTP/1: a connection between messages goes to the heir, and its client notices nothing. What cannot go (TLS, no heir, an heir
 * that refused, a client that is never idle) gets `Connection: close` with its next response; what sends no request any more is half-closed
 * after its grace, read a little longer, closed. Never close()d without a word: in that race 28 of 2,400 idle clients lost a request.
 */
import type { Server as HttpServer, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Native } from '../native/index.ts';
import type { Connection } from './connections.ts';
import type { DrainTally } from './drain-counts.ts';
import type { Heir } from './heir.ts';
import { IdleFinder } from './idle-connections.ts';
import { handleOf } from './node-internals.ts';
import type { ServerRecord } from './servers.ts';

/** A half-closed connection is read that long, so that a request that crosses is not answered by a reset. */
export const LINGER_MS = 1_000;
/** Node's own keepAliveTimeout, for a server that has none. */
const IDLE_GRACE_DEFAULT_MS = 5_000;

export interface Http1DrainOrder {
  readonly native: Native | null;
  readonly tally: DrainTally;
  readonly idleGraceMs: number | null;
  /** Whatever their grace: idle ones are closed from then on (performance.now()), so that the drain's deadline cuts none of them. */
  readonly lastCallMs: number;
  /** Null: nobody to hand over to. It may come a little later than the order. */
  heir(): Heir | null;
  /** False once waiting for a moment between messages, or for an heir, has lasted long enough. */
  mayHandOver(): boolean;
  onSettled(): void;
}

export class Http1Drain {
  readonly #order: Http1DrainOrder;
  readonly #finder = new IdleFinder();
  readonly #idleSince = new WeakMap<Connection, number>();
  /** Sent to the heir, or half-closed: no longer ours to look at. */
  readonly #leaving = new WeakSet<Connection>();
  readonly #refused = new WeakSet<Connection>();
  /** Answered and not read until the next step, or a client that asks again at once would never be between messages. */
  readonly #paused = new Set<Connection>();
  /** The response that says `Connection: close`. */
  readonly #last = new WeakMap<Connection, ServerResponse>();
  #lingering = 0;

  constructor(order: Http1DrainOrder) {
    this.#order = order;
  }

  /** From now on the idle connections of these servers are ours to end. */
  begin(records: Iterable<ServerRecord>): void {
    for (const { server } of records) this.#finder.shield(server as HttpServer);
  }

  get isLingering(): boolean {
    return this.#lingering > 0;
  }

  /** Looks at a server's connections. Called when the event loop has just read what had arrived. */
  step(record: ServerRecord, nowMs: number): void {
    const heir = this.#order.heir();
    const idle = this.#finder.find(record).filter((connection) => !this.#leaving.has(connection));
    const given = idle.filter((connection) => this.#canGo(connection));
    if (heir !== null && record.listener !== null && given.length > 0) {
      for (const connection of given) this.#leaving.add(connection);
      heir.give(record.listener, given);
    }
    const staying = new Set(idle.filter((connection) => !this.#canGo(connection)));
    for (const connection of record.connections) {
      if (!staying.has(connection)) this.#idleSince.delete(connection);
      else if (this.#isIdleTooLong(connection, nowMs)) this.#closeIdle(connection);
    }
    this.#readOn(record);
  }

  /** A request begins, or is being answered as the drain begins. */
  onRequest(connection: Connection, response: ServerResponse): void {
    if (this.#canGo(connection)) response.once('close', () => this.#pause(connection));
    else if (!response.headersSent) this.#announceClose(connection, response);
  }

  /** Whether its end is the one that `Connection: close` has announced. */
  hasSaidClose(connection: Connection): boolean {
    return this.#last.has(connection);
  }

  taken(connections: readonly Connection[]): void {
    for (const connection of connections) {
      this.#order.tally.settle(connection, 'handedOver');
      connection.carrier.destroy();
    }
    this.#order.onSettled();
  }

  returned(connections: readonly Connection[]): void {
    for (const connection of connections) {
      this.#leaving.delete(connection);
      this.#refused.add(connection);
    }
    this.#order.onSettled();
  }

  /** Runs in the turn of the loop in which the answer was written, before anything more is read. */
  #pause(connection: Connection): void {
    handleOf(connection.carrier)?.readStop();
    this.#paused.add(connection);
    this.#order.onSettled();
  }

  /** What the heir did not get is read on, unless Node itself had stopped. */
  #readOn(record: ServerRecord): void {
    for (const connection of this.#paused) {
      if (connection.record !== record) continue;
      this.#paused.delete(connection);
      const handle = handleOf(connection.carrier);
      if (handle?.reading === true && !this.#leaving.has(connection)) handle.readStart();
    }
  }

  #canGo(connection: Connection): boolean {
    return (
      this.#order.mayHandOver() &&
      connection.record.isLent &&
      !connection.isSecure &&
      connection.kind === 'http1' &&
      !this.#refused.has(connection)
    );
  }

  /** A pipelining client has its next request already here: only the last of them may say it, or the others are never answered. */
  #announceClose(connection: Connection, response: ServerResponse): void {
    const before = this.#last.get(connection);
    if (before !== undefined && !before.headersSent) before.shouldKeepAlive = true;
    if (response.shouldKeepAlive) this.#last.set(connection, response);
    response.shouldKeepAlive = false;
  }

  #isIdleTooLong(connection: Connection, nowMs: number): boolean {
    const since = this.#idleSince.get(connection);
    if (since === undefined) this.#idleSince.set(connection, nowMs);
    const { keepAliveTimeout } = connection.record.server as HttpServer;
    const graceMs = this.#order.idleGraceMs ?? (keepAliveTimeout || IDLE_GRACE_DEFAULT_MS);
    return nowMs - (since ?? nowMs) >= graceMs || nowMs >= this.#order.lastCallMs;
  }

  /** A request that arrives from now on cannot be answered, so it must not be run either: it is read and dropped. */
  #closeIdle(connection: Connection): void {
    const { carrier } = connection;
    const { native } = this.#order;
    this.#leaving.add(connection);
    this.#order.tally.settle(connection, 'idleClosed');
    const handle = handleOf(carrier);
    handle?.readStop();
    this.#lingering++;
    const done = () => {
      this.#lingering--;
      this.#order.onSettled();
    };
    if (connection.isSecure || native === null || handle === null) {
      carrier.end();
      setTimeout(() => (carrier.destroy(), done()), LINGER_MS);
      return;
    }
    const rest = new Socket({ fd: native.duplicate(handle.fd), readable: true, writable: true, allowHalfOpen: true });
    carrier.destroy();
    rest.on('error', () => {}).on('end', () => rest.destroy());
    rest.end().resume();
    const timer = setTimeout(() => rest.destroy(), LINGER_MS);
    rest.once('close', () => (clearTimeout(timer), done()));
  }
}
