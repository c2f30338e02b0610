/**
 * Which connections this thread has, by kind: what a drain has to finish. Kept from the app's first connection on, so it must cost next
 * to nothing: one object per connection, one pointer per request, and net.Server's emit() wrapped on its prototype, where no listener of
 * ours is ever seen by the app. A connection hangs on its socket by a symbol: in a WeakMap it cost a fifth of the worker's time, in GC.
 *
 *   connection ──► raw ─┬─ http.Server ─────► http1 ── 'upgrade' ──► websocket, or raw for another protocol
 *                       └─ 'session' ───────► http2
 *   TLS: the same, from the raw connection on; `carrier` becomes the TLSSocket once the handshake is done
 */
import { EventEmitter } from 'node:events';
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { Http2Session } from 'node:http2';
import { Server, type Socket } from 'node:net';
import type { Listed } from './connection-list.ts';
import { FrameTracker, trackFrames } from './websocket-frames.ts';
import { sentHead, socketUnder } from './node-internals.ts';
import type { ServerRecord, Servers } from './servers.ts';

export type ConnectionKind = 'http1' | 'http2' | 'websocket' | 'raw';

/** As what a drain has counted a connection; it may still be open for a moment. */
export type Ending = 'handedOver' | 'drained' | 'idleClosed' | 'cut';

export class Connection implements Listed {
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
  place = -1;

  readonly owner: Connections;

  constructor(owner: Connections, socket: Socket, record: ServerRecord) {
    this.owner = owner;
    this.socket = socket;
    this.carrier = socket;
    this.record = record;
    this.isSecure = record.isSecure;
    this.kind = record.isHttp1 ? 'http1' : 'raw';
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

const CONNECTION = Symbol('covet-pm.connection');
type Known = Socket & { [CONNECTION]?: Connection };

/** One for all connections: a closure each would be one more thing to collect. */
function onClose(this: Known): void {
  const connection = this[CONNECTION];
  connection?.owner.gone(connection);
}

export class Connections {
  readonly #servers: Servers;
  #latest: Connection | null = null;
  watcher: ConnectionWatcher | null = null;

  constructor(servers: Servers) {
    this.#servers = servers;
  }

  /** Once per thread, before the app's first line. */
  watch(): void {
    const before = (server: Server, event: string | symbol, first: unknown, second: unknown) => this.#before(server, event, first, second);
    const original = EventEmitter.prototype.emit;
    Object.defineProperty(Server.prototype, 'emit', {
      configurable: true,
      writable: true,
      // At most three arguments come with any event of a server of Node's; `arguments` passes on whatever an app's own events have.
      value: function emit(this: Server, event: string | symbol, first: unknown, second: unknown): boolean {
        before(this, event, first, second);
        // oxlint-disable-next-line prefer-rest-params -- a rest parameter is an array more for each request
        return original.apply(this, arguments as unknown as [string, ...unknown[]]);
      },
    });
  }

  gone(connection: Connection): void {
    this.#servers.removeConnection(connection.record, connection);
    this.watcher?.onGone(connection);
  }

  /** The connection that `accept` made the server emit. */
  during(accept: () => void): Connection | null {
    this.#latest = null;
    accept();
    return this.#latest;
  }

  #before(server: Server, event: string | symbol, first: unknown, second: unknown): void {
    switch (event) {
      case 'request':
      case 'checkContinue':
      case 'checkExpectation':
        return this.#requested(first as IncomingMessage, second as ServerResponse);
      case 'connection':
        return this.#arrived(server, first as Socket);
      case 'secureConnection':
        return this.#secured(first as Socket);
      case 'session':
        return this.#spokeHttp2(first as Http2Session);
      case 'upgrade':
      case 'connect':
        return this.#upgraded(first as IncomingMessage);
    }
  }

  #arrived(server: Server, socket: Socket): void {
    const record = this.#servers.recordOf(server);
    const known = (socket as Known)[CONNECTION];
    if (known !== undefined) return this.#passedOn(known, record);
    const connection = new Connection(this, socket, record);
    (socket as Known)[CONNECTION] = connection;
    this.#servers.addConnection(record, connection);
    this.#latest = connection;
    socket.on('close', onClose);
  }

  /** The app gave a server's connection to another server, as protocol sniffers do. */
  #passedOn(connection: Connection, record: ServerRecord): void {
    this.#servers.removeConnection(connection.record, connection);
    connection.record = record;
    if (connection.kind === 'raw' && record.isHttp1) connection.kind = 'http1';
    this.#servers.addConnection(record, connection);
    this.#latest = connection;
  }

  #secured(secure: Socket): void {
    const under = socketUnder(secure);
    const connection = under === null ? undefined : (under as Known)[CONNECTION];
    if (connection === undefined) return;
    connection.carrier = secure;
    (secure as Known)[CONNECTION] = connection;
    this.#latest = connection;
  }

  /** Emitted while the connection that it is on is being emitted. */
  #spokeHttp2(session: Http2Session): void {
    if (this.#latest === null) return;
    this.#latest.kind = 'http2';
    this.#latest.session = session;
  }

  #upgraded(request: IncomingMessage): void {
    const connection = (request.socket as Known)[CONNECTION];
    if (connection === undefined) return;
    const isWebSocket = request.headers.upgrade?.toLowerCase() === 'websocket';
    connection.kind = isWebSocket ? 'websocket' : 'raw';
    if (isWebSocket) connection.frames = trackFrames(connection.carrier);
  }

  #requested(request: IncomingMessage, response: ServerResponse): void {
    // A stream of HTTP/2 has its session to be drained by, and its `socket` is a proxy made at each look.
    const connection = request.httpVersionMajor === 1 ? (request.socket as Known)[CONNECTION] : undefined;
    if (connection === undefined) return;
    connection.response = response;
    if (connection.isInherited) {
      connection.isInherited = false;
      connection.carrier.setTimeout((connection.record.server as HttpServer).timeout ?? 0);
    }
    this.watcher?.onRequest(connection, response);
  }
}
