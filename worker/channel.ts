/**
 * The channel to the supervisor: a stream pair, one JSON object a line, inherited. It outlives every supervisor, for covet-init keeps a
 * duplicate of the other end: what is written while there is none waits in the socket. So EOF means that covet-init is gone too; the app
 * goes on then, unsupervised, on a new pair whose far end waits for whoever takes over (new-wires.ts).
 *
 * It never keeps the process alive unless somebody holds it, and never throws into the app.
 */
import { Socket } from 'node:net';
import { LineSplitter } from '../supervisor/protocol/rpc.ts';
import { CHANNEL_LINE_BYTES_MAX, type SupervisorMessage, type WorkerMessage } from '../supervisor/protocol/worker-wire.ts';
import type { Report } from './report.ts';
import { say } from './say.ts';

/** What may wait for a supervisor that does not read; beyond that messages are refused. */
const PENDING_BYTES_MAX = 4 * CHANNEL_LINE_BYTES_MAX;

export class Channel implements Report {
  #socket: Socket;
  readonly #onMessage: (message: SupervisorMessage) => void;
  readonly #onEnd: () => void;
  #holders = 0;
  #isBroken = false;

  /** `onEnd`: covet-init and its supervisor are both gone. */
  constructor(fd: number, onMessage: (message: SupervisorMessage) => void, onEnd: () => void) {
    this.#onMessage = onMessage;
    this.#onEnd = onEnd;
    this.#socket = this.#open(fd);
  }

  /** Goes on with another pair. What the old one had not sent is lost. */
  renew(fd: number): void {
    this.#socket = this.#open(fd);
  }

  #open(fd: number): Socket {
    const splitter = new LineSplitter(CHANNEL_LINE_BYTES_MAX);
    const socket = new Socket({ fd, readable: true, writable: true });
    if (this.#holders === 0) socket.unref();
    socket.on('data', (chunk: Buffer) => this.#receive(splitter, chunk));
    // The end is told by 'close'.
    socket.on('error', () => {});
    socket.on('close', () => {
      if (!this.#isBroken) this.#onEnd();
    });
    return socket;
  }

  get isOpen(): boolean {
    return this.#socket.writable;
  }

  tell(message: WorkerMessage): boolean {
    return this.write(message, () => {});
  }

  /** As `tell`; `onWritten` is called later, with the error if there was one. */
  write(message: WorkerMessage, onWritten: (error: Error | null) => void): boolean {
    const line = `${JSON.stringify(message)}\n`;
    const problem = this.#problemWith(line);
    if (problem !== null) {
      process.nextTick(onWritten, problem);
      return false;
    }
    return this.#socket.write(line, (error) => onWritten(error ?? null));
  }

  /** While somebody holds it, it keeps the process alive. Each hold is released once. */
  hold(): void {
    if (++this.#holders === 1) this.#socket.ref();
  }

  release(): void {
    if (--this.#holders === 0) this.#socket.unref();
  }

  #problemWith(line: string): Error | null {
    if (!this.#socket.writable) return failure('ERR_IPC_CHANNEL_CLOSED', 'Channel closed');
    if (line.length > CHANNEL_LINE_BYTES_MAX || Buffer.byteLength(line) > CHANNEL_LINE_BYTES_MAX)
      return failure('EMSGSIZE', `Expected a message of at most ${CHANNEL_LINE_BYTES_MAX} bytes, got ${line.length}`);
    if (this.#socket.writableLength + line.length > PENDING_BYTES_MAX) return failure('ENOBUFS', 'The supervisor does not read');
    return null;
  }

  #receive(splitter: LineSplitter, chunk: Buffer): void {
    try {
      for (const line of splitter.push(chunk)) {
        const message = line === '' ? null : parseLine(line);
        if (message !== null) this.#onMessage(message);
      }
    } catch (error) {
      say(`the supervisor broke the protocol: ${(error as Error).message}, ignoring it from now on`);
      this.#isBroken = true;
      this.#socket.destroy();
    }
  }
}

/** null for a line that a supervisor was killed over: the next one ends it and begins with `hello`. */
function parseLine(line: string): SupervisorMessage | null {
  try {
    return JSON.parse(line) as SupervisorMessage;
  } catch {
    say('a supervisor ended inside a message, ignoring that message');
    return null;
  }
}

function failure(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
