/**
 * The servers of this thread that listen, by listener. One record per listen(): it ends when the app closes the server, and its
 * connections may outlive it. A server that never listens but is given connections by the app has a record without a listener.
 */
import type { Server } from 'node:net';
import { ConnectionList } from './connection-list.ts';
import type { Connection } from './connections.ts';
import { handleOf, replaceHandle, type ListeningHandle, type StreamHandle } from './node-internals.ts';
import type { Report } from './report.ts';

export interface ServerRecord {
  readonly server: Server;
  readonly isHttp1: boolean;
  readonly isSecure: boolean;
  /** The listener's key, or the address that the server bound itself; stays when it is closed. Null: it never listened. */
  listener: string | null;
  isListening: boolean;
  isLent: boolean;
  /** By slot and half, the sockets that it accepts from beside its own; see stand-in.ts. */
  readonly standIns: Map<string, ListeningHandle>;
  readonly connections: ConnectionList<Connection>;
}

const RECORD = Symbol('covet-pm.server');
type Known = Server & { [RECORD]?: ServerRecord };

export class Servers {
  readonly #report: Report;
  readonly #listening = new Map<string, ServerRecord>();
  /** With open connections or a listener. */
  readonly #live = new Set<ServerRecord>();

  constructor(report: Report) {
    this.#report = report;
  }

  recordOf(server: Server): ServerRecord {
    const known = (server as Known)[RECORD];
    if (known !== undefined) return known;
    const record: ServerRecord = {
      server,
      isHttp1: 'closeIdleConnections' in server,
      isSecure: 'setTicketKeys' in server,
      listener: null,
      isListening: false,
      isLent: false,
      standIns: new Map(),
      connections: new ConnectionList(),
    };
    (server as Known)[RECORD] = record;
    return record;
  }

  listeningOn(listener: string): ServerRecord | null {
    return this.#listening.get(listener) ?? null;
  }

  get live(): Iterable<ServerRecord> {
    return this.#live;
  }

  get listening(): Iterable<ServerRecord> {
    return this.#listening.values();
  }

  opened(server: Server, listener: string, isLent: boolean): void {
    const record = this.recordOf(server);
    record.listener = listener;
    record.isListening = true;
    record.isLent = isLent;
    this.#listening.set(listener, record);
    this.#live.add(record);
    this.tellListening(record);
  }

  tellListening({ listener, isLent }: ServerRecord): void {
    if (listener === null) return;
    this.#report.tell(isLent ? { t: 'listening', listener } : { t: 'listening', listener, own: true });
  }

  /** The app closed it. Its connections go on. */
  closed(server: Server): void {
    const record = (server as Known)[RECORD];
    if (record?.listener == null || !record.isListening) return;
    record.isListening = false;
    closeStandIns(record);
    if (this.#listening.get(record.listener) === record) this.#listening.delete(record.listener);
    this.#forgetIfDone(record);
    this.#report.tell({ t: 'closed', listener: record.listener });
  }

  addConnection(record: ServerRecord, connection: Connection): void {
    record.connections.add(connection);
    if (!record.isListening) this.#live.add(record);
  }

  removeConnection(record: ServerRecord, connection: Connection): void {
    record.connections.delete(connection);
    this.#forgetIfDone(record);
  }

  #forgetIfDone(record: ServerRecord): void {
    if (!record.isListening && record.connections.size === 0) this.#live.delete(record);
  }
}

/**
 * No connection is accepted any more, and the server does not know: it has its address, its connections and its close() as before. For
 * net.Server#close() would tell the app, and http.Server#close() would close idle connections too (Node 19 and later).
 */
export function stopAccepting(record: ServerRecord): void {
  const { server } = record;
  const handle = handleOf(server);
  closeStandIns(record);
  if (handle === null || (handle as object) instanceof DeafHandle) return;
  replaceHandle(server, new DeafHandle(server, handle));
}

export function closeStandIns({ standIns }: ServerRecord): void {
  for (const handle of standIns.values()) handle.close();
  standIns.clear();
}

/** Stands where the listening handle was. */
class DeafHandle implements ListeningHandle {
  readonly fd = -1;
  readonly getsockname?: (out: object) => number;
  #isReferenced: boolean;

  constructor(server: Server, handle: StreamHandle) {
    const address = server.address();
    if (address !== null && typeof address === 'object') this.getsockname = (out) => (Object.assign(out, address), 0);
    this.#isReferenced = handle.hasRef();
    handle.close();
  }

  close(): void {}

  ref(): void {
    this.#isReferenced = true;
  }

  unref(): void {
    this.#isReferenced = false;
  }

  hasRef(): boolean {
    return this.#isReferenced;
  }
}
