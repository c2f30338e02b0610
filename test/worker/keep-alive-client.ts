/**
 * One HTTP/1.1 client on one connection, with exact accounting: it writes the bytes of a request itself, reads each response to its end,
 * checks it, and never retries. A connection that ends between two requests is counted and opened again; one that ends while
 * a request is out is a lost request.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: Buffer;
}

/** Bytes of one request, in the pieces they are written in. */
export type RequestPieces = readonly (string | Buffer)[];

export class KeepAliveClient {
  readonly #port: number;
  readonly #pauseMs: number;
  #socket: Socket | null = null;
  /** What has come and is not answered for; joined when it may be an answer. */
  #parts: Buffer[] = [];
  #bytes = 0;
  #wantedBytes = 0;
  #hasEnded = false;
  /** Something came, or the end. */
  #onChange: () => void = () => {};
  connections = 0;

  /** `pauseMs`: it reads slowly, that long between two pieces. */
  constructor(port: number, pauseMs = 0) {
    this.#port = port;
    this.#pauseMs = pauseMs;
  }

  /** Writes the pieces, each in a packet of its own, and reads as many answers. Rejects when a single one does not come whole. */
  async ask(pieces: RequestPieces, answers = 1, between: () => Promise<void> = async () => {}): Promise<Answer[]> {
    const socket = await this.#open();
    for (const [index, piece] of pieces.entries()) {
      if (index > 0) await between();
      socket.write(piece);
    }
    const read: Answer[] = [];
    for (let i = 0; i < answers; i++) read.push(await this.#readAnswer());
    if (read.some(({ head }) => /^connection: close/im.test(head))) this.close();
    return read;
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = null;
  }

  async #open(): Promise<Socket> {
    if (this.#socket !== null && !this.#hasEnded) return this.#socket;
    this.close();
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    this.#socket = socket;
    this.#parts = [];
    this.#bytes = this.#wantedBytes = 0;
    this.#hasEnded = false;
    socket.on('data', (chunk: Buffer) => {
      this.#parts.push(chunk);
      this.#bytes += chunk.length;
      if (this.#pauseMs > 0) this.#readLater(socket);
      this.#onChange();
    });
    const onEnd = () => {
      if (this.#socket !== socket) return;
      this.#hasEnded = true;
      this.#onChange();
    };
    socket.on('end', onEnd).on('error', onEnd).on('close', onEnd);
    await once(socket, 'connect');
    this.connections++;
    return socket;
  }

  #readLater(socket: Socket): void {
    socket.pause();
    setTimeout(() => socket.resume(), this.#pauseMs);
  }

  async #readAnswer(): Promise<Answer> {
    for (;;) {
      const answer = this.#takeAnswer();
      if (answer !== null) return answer;
      if (this.#hasEnded || this.#socket === null) throw new Error(`the connection ended with ${this.#bytes} bytes of an answer`);
      await new Promise<void>((resolve) => (this.#onChange = resolve));
    }
  }

  #takeAnswer(): Answer | null {
    if (this.#bytes < this.#wantedBytes) return null;
    const all = Buffer.concat(this.#parts);
    this.#parts = [all];
    const end = all.indexOf('\r\n\r\n');
    if (end === -1) return null;
    const head = all.subarray(0, end).toString('latin1');
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? Number.NaN);
    if (Number.isNaN(length)) throw new Error(`Expected a content-length, got ${head}`);
    this.#wantedBytes = end + 4 + length;
    if (all.length < this.#wantedBytes) return null;
    const rest = all.subarray(this.#wantedBytes);
    const body = all.subarray(end + 4, this.#wantedBytes);
    this.#parts = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
    this.#wantedBytes = 0;
    return { status: Number(head.slice(9, 12)), head, body };
  }
}
