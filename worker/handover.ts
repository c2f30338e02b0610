/**
 * The taking side of a hand-over: connections of an older worker arrive over a pair of their own (heir.ts is its other side) and are
 * given to our server as if its listening handle had accepted them, so that maxConnections, 'connection' and the count are true.
 *
 * A batch is taken or refused as a whole; a refused one stays with the worker that has it.
 */
import type { Server as HttpServer } from 'node:http';
import type { Native, PacketSocket } from '../native/index.ts';
import type { HandOver } from '../supervisor/protocol/worker-wire.ts';
import type { Connections } from './connections.ts';
import { handleOf, makeConnectionHandle, type StreamHandle } from './node-internals.ts';
import { guarded } from './say.ts';
import type { ServerRecord, Servers } from './servers.ts';

/** Node adds it to keepAliveTimeout, so that the client closes first. */
const KEEP_ALIVE_BUFFER_MS = 1_000;

export interface HandoverParts {
  readonly native: Native;
  readonly servers: Servers;
  readonly connections: Connections;
  isDraining(): boolean;
}

/** Owns the descriptor: one end of the pair to an older worker. */
export function inherit(parts: HandoverParts, fd: number): void {
  const socket = new parts.native.PacketSocket(fd);
  socket.start(
    (text, fds) => guarded('taking connections over', () => receive(parts, socket, JSON.parse(text) as HandOver, fds), undefined),
    () => socket.close(),
  );
  socket.unref();
}

function receive(parts: HandoverParts, socket: PacketSocket, message: HandOver, fds: readonly number[]): void {
  const record = message.t === 'conns' ? parts.servers.listeningOn(message.listener) : null;
  // Null where an app's own cluster has taken the handle for its primary.
  const listening = record === null ? null : handleOf(record.server);
  const isTaken = record !== null && listening !== null && !parts.isDraining() && hasRoom(record, fds.length);
  for (const fd of fds) {
    if (isTaken) adopt(parts, record, listening, fd);
    else parts.native.closeFd(fd);
  }
  socket.send(JSON.stringify({ t: isTaken ? 'taken' : 'refused', count: fds.length } satisfies HandOver));
}

/** Beyond maxConnections Node would close what it is given. */
function hasRoom({ server, connections }: ServerRecord, more: number): boolean {
  return !server.maxConnections || connections.size + more <= server.maxConnections;
}

function adopt({ native, connections }: HandoverParts, record: ServerRecord, listening: StreamHandle, fd: number): void {
  const handle = makeConnectionHandle(listening);
  if (handle.open(fd) !== 0) return native.closeFd(fd);
  const connection = connections.during(() => listening.onconnection(0, handle));
  // For its parser it is new, and might wait a minute for a first request; for its client it is a kept-alive one.
  if (connection?.kind !== 'http1') return;
  const { keepAliveTimeout } = record.server as HttpServer;
  if (keepAliveTimeout === 0) return;
  connection.isInherited = true;
  connection.carrier.setTimeout(keepAliveTimeout + KEEP_ALIVE_BUFFER_MS);
}
