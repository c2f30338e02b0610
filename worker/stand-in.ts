/**
 * Accepting from a socket that has no worker of its own (supervisor/listeners/stand-ins.ts): one more listening handle for the server that is
 * there, which sees its connections as its own. Ends with the server's listening, with a drain, or when the socket has a worker again;
 * what waits on it then waits for that one.
 */
import type { Native } from '../native/index.ts';
import type { StandInNotice } from '../supervisor/protocol/worker-wire.ts';
import { handleOf, makeListeningHandle } from './node-internals.ts';
import type { Servers } from './servers.ts';

/** Owns the descriptor, when there is one. */
export function standIn(native: Native, servers: Servers, notice: StandInNotice, fd: number | null): void {
  const record = servers.listeningOn(notice.listener);
  const socket = `${notice.slot}/${notice.half}`;
  if (notice.t === 'standDown' || fd === null) {
    record?.standIns.get(socket)?.close();
    record?.standIns.delete(socket);
    return;
  }
  const own = record === null ? null : handleOf(record.server);
  if (record === null || own === null || record.standIns.has(socket)) return native.closeFd(fd);
  const handle = makeListeningHandle(own);
  if (handle.open(fd) !== 0) return native.closeFd(fd);
  // maxConnections, 'connection' and the count are the server's: its own handle has accepted, as far as it can tell.
  handle.onconnection = (status, client) => own.onconnection(status, client);
  if (handle.listen(notice.backlog) !== 0) return handle.close();
  // The server's own handle says whether the app stays for it.
  handle.unref();
  record.standIns.set(socket, handle);
}
