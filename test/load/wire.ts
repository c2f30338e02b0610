/**
 * One raw connection of an HTTP/1 client: writes what it is given, reads responses strictly, retries nothing. A response that
 * does not come throws Lost with the reason. At most one response is awaited at a time.
 */
import net from 'node:net';
import tls from 'node:tls';
import { Http1Reader, type Head } from './http1-reader.ts';
import { Lost, lossOf } from './tally.ts';
import type { Target } from './options.ts';

export interface Response extends Head {
  readonly body: Buffer;
}

export interface Awaiting {
  readonly deadlineMs: number;
  /** Body pieces as they come; then the response's own body is empty. */
  readonly onBody?: (piece: Buffer) => void;
  /** Pause after each piece read, to read slowly. */
  readonly pauseMs?: number;
}

interface Pending {
  head: Head | null;
  readonly pieces: Buffer[];
  readonly options: Awaiting;
  readonly timer: NodeJS.Timeout;
  resolve(response: Response): void;
  reject(lost: Lost): void;
}

export class Wire {
  readonly #socket: net.Socket;
  readonly #reader: Http1Reader;
  #pending: Pending | null = null;
  #ended = false;
  #failure: unknown = null;
  readonly #closed: Promise<void>;

  /** Resolves when connected (and the TLS handshake is done); throws Lost. */
  static async open(target: Target, deadlineMs: number): Promise<Wire> {
    const socket = connect(target);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        socket.destroy();
        reject(new Lost('timeout', `no connection within ${deadlineMs} ms`));
      }, deadlineMs);
      const fail = (error: unknown): void => {
        clearTimeout(timer);
        reject(lossOf(error, false));
      };
      socket.once('error', fail);
      socket.once('close', () => fail(new Lost('empty', 'closed before it was connected')));
      socket.once(target.tls === true ? 'secureConnect' : 'connect', () => {
        clearTimeout(timer);
        socket.removeAllListeners('error').removeAllListeners('close');
        resolve();
      });
    });
    return new Wire(socket);
  }

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    this.#reader = new Http1Reader({
      head: (head) => {
        if (this.#pending === null) throw new Lost('protocol', 'a response that nobody asked for');
        this.#pending.head = head;
      },
      body: (piece) => {
        const pending = this.#pending;
        if (pending?.options.onBody !== undefined) pending.options.onBody(piece);
        else pending?.pieces.push(piece);
      },
      end: () => this.#settle(),
    });
    socket.on('data', (piece: Buffer) => this.#read(piece));
    socket.on('end', () => {
      this.#ended = true;
      if (!this.#reader.eof()) this.#fail(new Lost(this.#began ? 'torn' : 'empty', `FIN ${this.#where}`));
    });
    socket.on('error', (error) => this.#fail(lossOf(error, this.#began)));
    this.#closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#ended = true;
        this.#fail(new Lost(this.#began ? 'torn' : 'empty', `closed ${this.#where}`));
        resolve();
      });
    });
  }

  /** The server has closed its side (or all of it): nothing more will be answered here. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The connection broke while nothing was awaited. */
  get failure(): unknown {
    return this.#failure;
  }

  get closed(): Promise<void> {
    return this.#closed;
  }

  write(data: string | Buffer): void {
    // An error is told by 'error', once, to whoever awaits the response.
    if (!this.#socket.destroyed) this.#socket.write(data);
  }

  /** Writes and resolves when the kernel has it, so that a large body keeps pace. */
  async send(data: string | Buffer): Promise<void> {
    if (this.#socket.destroyed) return;
    await new Promise<void>((resolve) => {
      this.#socket.write(data, () => resolve());
    });
  }

  async response(options: Awaiting): Promise<Response> {
    if (this.#failure !== null) throw lossOf(this.#failure, false);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.#fail(new Lost('timeout', `no ${this.#began ? 'end of the ' : ''}response within ${options.deadlineMs} ms`)),
        options.deadlineMs,
      );
      this.#pending = { head: null, pieces: [], options, timer, resolve, reject };
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  get #began(): boolean {
    return this.#reader.inside || (this.#pending !== null && this.#pending.head !== null);
  }

  get #where(): string {
    return this.#began ? 'inside the response' : 'before a byte of the response';
  }

  #read(piece: Buffer): void {
    try {
      this.#reader.push(piece);
    } catch (error) {
      this.#fail(lossOf(error, true));
      this.#socket.destroy();
      return;
    }
    const pauseMs = this.#pending?.options.pauseMs;
    if (pauseMs === undefined) return;
    this.#socket.pause();
    setTimeout(() => this.#socket.resume(), pauseMs);
  }

  #settle(): void {
    const pending = this.#pending;
    this.#pending = null;
    if (pending?.head == null) return;
    clearTimeout(pending.timer);
    pending.resolve({ ...pending.head, body: Buffer.concat(pending.pieces) });
  }

  #fail(lost: Lost): void {
    this.#failure ??= lost;
    const pending = this.#pending;
    this.#pending = null;
    if (pending === null) return;
    clearTimeout(pending.timer);
    this.#socket.destroy();
    pending.reject(lost);
  }
}

function connect(target: Target): net.Socket {
  const where = target.socketPath === undefined ? { host: target.host, port: target.port } : { path: target.socketPath };
  return target.tls === true ? tls.connect({ ...where, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] }) : net.connect(where);
}
