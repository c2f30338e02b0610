/**
 * Which connections this thread has, by kind: what a drain has to finish. Kept from the app's first connection on, so it must cost next
 * to nothing: one object and one listener per connection, one pointer per request (http.server.request.start), and net.Server's
 * emit() wrapped on its prototype, where no listener of ours is ever seen by the app.
 *
 *   connection ──► raw ─┬─ http.Server ─────► http1 ── 'upgrade' ──► websocket, or raw for another protocol
 *                       └─ 'session' ───────► http2
 *   TLS: the same, from the raw connection on; `carrier` becomes the TLSSocket once the handshake is done
 */
import { subscribe } from 'node:diagnostics_channel';
import { EventEmitter } from 'node:events';
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { Http2Session } from 'node:http2';
import { Server, type Socket } from 'node:net';
import { FrameTracker, trackFrames } from './websocket-frames.ts';
import { sentHead, socketUnder } from './node-internals.ts';
import type { ServerRecord, Servers } from './servers.ts';

export type ConnectionKind = 'http1' | 'http2' | 'websocket' | 'raw';

/** As what a drain has counted a connection; it may still be open for a moment. */
export type Ending = 'handedOver' | 'drained' | 'idleClosed' | 'cut';

export class Connection {
  /** What the kernel has. */
  readonly socket: Socket;
  /** What the app has: the same, or the TLSSocket on it. */
  carrier: Socket;
  record: ServerRecord;
  kind: ConnectionKind;
  readonly isSecure: boolean;
  /** Of the latest request, the last in order: when it is closed, all before it are. */
  response: ServerResponse | null = null;
  session: Http2Session | null = null;
  frames: FrameTracker | null = null;
  /** Null: not counted yet. */
  ending: Ending | null = null;
  /** Given to us by another worker: it is between messages until its next request. */
  isInherited = false;

  constructor(socket: Socket, record: ServerRecord) {
    this.socket = socket;
    this.carrier = socket;
    this.record = record;
    this.isSecure = 'setTicketKeys' in record.server;
    this.kind = speaksHttp1(record.server) ? 'http1' : 'raw';
  }

  /** A request is being read or answered. What the parser holds of the next one is not in here: see drain-http1.ts. */
  get isAnswering(): boolean {
    return this.response !== null && !this.response.closed;
  }

  get isEventStream(): boolean {
    return this.isAnswering && /^content-type:\s*text\/event-stream/im.test(sentHead(this.response!) ?? '');
  }
}

/** What a drain wants to know while it lasts. */
export interface ConnectionWatcher {
  onRequest(connection: Connection, response: ServerResponse): void;
  onGone(connection: Connection): void;
}

export class Connections {
  readonly #servers: Servers;
  readonly #bySocket = new WeakMap<Socket, Connection>();
  #latest: Connection | null = null;
  watcher: ConnectionWatcher | null = null;

  constructor(servers: Servers) {
    this.#servers = servers;
  }

  /** Once per thread, before the app's first line. */
  watch(): void {
    const before = (server: Server, event: string | symbol, args: readonly unknown[]) => this.#before(server, event, args);
    Object.defineProperty(Server.prototype, 'emit', {
      configurable: true,
      writable: true,
      value: function emit(this: Server, event: string | symbol, ...args: unknown[]): boolean {
        before(this, event, args);
        return EventEmitter.prototype.emit.call(this, event, ...args);
      },
    });
    subscribe('http.server.request.start', (message) => {
      const { response, socket } = message as { response: ServerResponse; socket: Socket };
      this.#requested(socket, response);
    });
  }

  /** The connection that `accept` made the server emit. */
  during(accept: () => void): Connection | null {
    this.#latest = null;
    accept();
    return this.#latest;
  }

  #before(server: Server, event: string | symbol, args: readonly unknown[]): void {
    switch (event) {
      case 'connection':
        return this.#arrived(server, args[0] as Socket);
      case 'secureConnection':
        return this.#secured(args[0] as Socket);
      case 'session':
        return this.#spokeHttp2(args[0] as Http2Session);
      case 'upgrade':
      case 'connect':
        return this.#upgraded(args[0] as IncomingMessage);
    }
  }

  #arrived(server: Server, socket: Socket): void {
    const record = this.#servers.recordOf(server);
    const known = this.#bySocket.get(socket);
    if (known !== undefined) return this.#passedOn(known, record);
    const connection = new Connection(socket, record);
    this.#bySocket.set(socket, connection);
    this.#servers.addConnection(record, connection);
    this.#latest = connection;
    socket.on('close', () => {
      this.#servers.removeConnection(connection.record, connection);
      this.watcher?.onGone(connection);
    });
  }

  /** The app gave a server's connection to another server, as protocol sniffers do. */
  #passedOn(connection: Connection, record: ServerRecord): void {
    this.#servers.removeConnection(connection.record, connection);
    connection.record = record;
    if (connection.kind === 'raw' && speaksHttp1(record.server)) connection.kind = 'http1';
    this.#servers.addConnection(record, connection);
    this.#latest = connection;
  }

  #secured(secure: Socket): void {
    const under = socketUnder(secure);
    const connection = under === null ? undefined : this.#bySocket.get(under);
    if (connection === undefined) return;
    connection.carrier = secure;
    this.#bySocket.set(secure, connection);
    this.#latest = connection;
  }

  /** Emitted while the connection that it is on is being emitted. */
  #spokeHttp2(session: Http2Session): void {
    if (this.#latest === null) return;
    this.#latest.kind = 'http2';
    this.#latest.session = session;
  }

  #upgraded(request: IncomingMessage): void {
    const connection = this.#bySocket.get(request.socket);
    if (connection === undefined) return;
    const isWebSocket = request.headers.upgrade?.toLowerCase() === 'websocket';
    connection.kind = isWebSocket ? 'websocket' : 'raw';
    if (isWebSocket) connection.frames = trackFrames(connection.carrier);
  }

  #requested(socket: Socket, response: ServerResponse): void {
    const connection = this.#bySocket.get(socket);
    if (connection === undefined) return;
    connection.response = response;
    if (connection.isInherited) {
      connection.isInherited = false;
      connection.carrier.setTimeout((connection.record.server as HttpServer).timeout ?? 0);
    }
    this.watcher?.onRequest(connection, response);
  }
}

function speaksHttp1(server: Server): boolean {
  return 'closeIdleConnections' in server;
}
