/**
 * The control socket: accepts, checks who is there, and gives each connection its conversation. 0600 in a 0700 folder, and the peer's uid is
 * checked besides, for a folder's mode may change under us. Who asked for a change is said in the supervisor's log, before it is carried out.
 */
import { chmodSync, readFileSync, unlinkSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { CovetError } from '../protocol/errors.ts';
import { SOCKET_PATH_BYTES_MAX } from '../protocol/paths.ts';
import type { SupervisorCore } from '../supervisor.ts';
import { ControlConnection, type EndingMethod } from './connection.ts';

/** Conversations at once; a client has one. As many again may be hearing that they are refused. */
const CONNECTIONS_MAX = 256;

export class ControlServer {
  readonly #core: SupervisorCore;
  readonly #path: string;
  readonly #server: Server;
  readonly #connections = new Set<ControlConnection>();
  readonly #refused = new Set<ControlConnection>();
  #onEnd: (method: EndingMethod) => void = () => {};

  constructor(core: SupervisorCore) {
    this.#core = core;
    this.#path = core.env.paths.control;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Throws COVET_ERR_HOME_PATH, or Node's error of listen(). covet-init's lock says that no other supervisor serves this path. */
  async listen(): Promise<void> {
    const bytes = Buffer.byteLength(this.#path);
    if (bytes > SOCKET_PATH_BYTES_MAX) throw new CovetError('COVET_ERR_HOME_PATH', { path: this.#path, bytes });
    removeStale(this.#path);
    const mask = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => this.#server.once('error', reject).listen(this.#path, resolve));
    } finally {
      process.umask(mask);
    }
    chmodSync(this.#path, 0o600);
  }

  /** Called once an operation after which the supervisor ends was carried out and answered. */
  onEnd(run: (method: EndingMethod) => void): void {
    this.#onEnd = run;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of [...this.#connections, ...this.#refused]) connection.end();
    await closed;
  }

  #accept(socket: Socket): void {
    const peer = this.#core.env.native.peerCredentials((socket as Socket & { _handle: { fd: number } })._handle.fd);
    const connection = new ControlConnection(this.#core, socket, {
      onChange: (method, app) => this.#core.logs.say(app ?? 'supervisor', `${method} was asked for by ${words(peer)}`),
      onEnd: (method) => this.#onEnd(method),
    });
    if (peer.uid !== this.#core.env.uid && peer.uid !== 0) {
      return this.#refuse(connection, socket, new CovetError('COVET_ERR_CONTROL_PEER', { uid: peer.uid, owner: this.#core.env.uid }));
    }
    if (this.#connections.size >= CONNECTIONS_MAX) {
      return this.#refuse(connection, socket, new CovetError('COVET_ERR_CONTROL_CLIENTS', { max: CONNECTIONS_MAX }));
    }
    keep(connection, socket, this.#connections);
    connection.begin();
  }

  #refuse(connection: ControlConnection, socket: Socket, error: CovetError): void {
    if (this.#refused.size >= CONNECTIONS_MAX) return void socket.destroy();
    keep(connection, socket, this.#refused);
    connection.refuse(error);
  }
}

/** `uid 0, pid 4711 (node)`; a process of another namespace is pid 0, and has no name here. */
function words({ uid, pid }: { readonly uid: number; readonly pid: number }): string {
  try {
    const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd();
    // It names itself: of its choice may be any byte.
    return `uid ${uid}, pid ${pid} (${name.replace(/[^\x20-\x7e]/g, '?')})`;
  } catch {
    return `uid ${uid}, pid ${pid}`; // gone already, or hidden
  }
}

function keep(connection: ControlConnection, socket: Socket, among: Set<ControlConnection>): void {
  among.add(connection);
  socket.once('close', () => among.delete(connection));
}

function removeStale(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
