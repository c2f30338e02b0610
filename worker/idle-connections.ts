/**
 * Which HTTP/1 connections of a server are between messages. Only the parser knows: a finished response is not it (the body may still be
 * on its way), nor are the bytes read so far (half a head of the next request). What http.Server#closeIdleConnections() would destroy
 * is Node's own answer, so it is asked to, with destroy() replaced by taking a note. (The first version, without it, lost 6 of 787 POSTs.)
 */
import type { Server as HttpServer } from 'node:http';
import type { Socket } from 'node:net';
import type { Connection } from './connections.ts';
import { handleOf } from './node-internals.ts';
import type { ServerRecord } from './servers.ts';

export class IdleFinder {
  readonly #guarded = new WeakSet<Socket>();
  /** While it is not null nothing is destroyed. */
  #noted: Set<Socket> | null = null;

  /** Between messages, with nothing of them in any buffer of ours; or new, and nothing has come yet. */
  find(record: ServerRecord): Connection[] {
    const server = record.server as HttpServer;
    if (typeof server.closeIdleConnections !== 'function') return [];
    for (const { carrier } of record.connections) this.#guard(carrier);
    const noted = (this.#noted = new Set());
    try {
      Object.getPrototypeOf(server).closeIdleConnections.call(server);
    } finally {
      this.#noted = null;
    }
    return [...record.connections].filter((connection) => isBetweenMessages(connection, noted.has(connection.carrier)));
  }

  /**
   * An app that closes its server when it hears 'shutdown' means well, but http.Server#close() closes idle connections with requests on
   * their way (Node 19 and later). While this worker drains they are ours to end.
   */
  shield(server: HttpServer): void {
    if (typeof server.closeIdleConnections !== 'function' || Object.hasOwn(server, 'closeIdleConnections')) return;
    Object.defineProperty(server, 'closeIdleConnections', { configurable: true, writable: true, value: () => {} });
  }

  /** Once per socket, and only in a drain. */
  #guard(socket: Socket): void {
    if (this.#guarded.has(socket)) return;
    this.#guarded.add(socket);
    const note = () => this.#noted?.add(socket) !== undefined;
    const destroy = socket.destroy;
    Object.defineProperty(socket, 'destroy', {
      configurable: true,
      writable: true,
      value: function guardedDestroy(this: Socket, error?: Error): Socket {
        return note() ? this : destroy.call(this, error);
      },
    });
  }
}

function isBetweenMessages(connection: Connection, isIdleToParser: boolean): boolean {
  const { carrier, kind, isAnswering, response } = connection;
  if (kind !== 'http1' || isAnswering || carrier.destroyed) return false;
  const isNew = response === null && carrier.bytesRead === 0;
  if (!isIdleToParser && !isNew) return false;
  return carrier.readableLength === 0 && carrier.writableLength === 0 && handleOf(carrier)?.writeQueueSize === 0;
}
