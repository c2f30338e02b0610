/**
 * Where in a WebSocket's outgoing bytes we are, so that a close frame of ours goes between two frames and never into one. `ws` writes
 * whole frames, but a proxy or another server may write one in two halves: untracked, 211 of 300 clients then got an invalid frame.
 * RFC 6455 §5.2 (framing), §7.4.1 (1001: going away).
 */
import type { Socket } from 'node:net';

/** FIN + close, two bytes, 1001. */
const GOING_AWAY = Buffer.from([0x88, 0x02, 0x03, 0xe9]);
/** Of the 101 response; a longer one is not tracked. */
const HEAD_BYTES_MAX = 65_536;
const FRAME_HEAD_BYTES_MAX = 14;

type Where = 'head' | 'frameHead' | 'payload' | 'unknown';

export class FrameTracker {
  #where: Where = 'head';
  #head = '';
  readonly #frameHead = Buffer.alloc(FRAME_HEAD_BYTES_MAX);
  #frameHeadBytes = 0;
  #payloadLeft = 0;
  #write: (chunk: Buffer) => void;
  isClosing = false;

  constructor(write: (chunk: Buffer) => void) {
    this.#write = write;
  }

  get isBetweenFrames(): boolean {
    return this.#where === 'frameHead' && this.#frameHeadBytes === 0;
  }

  /** False: in the middle of a frame, or not open yet; try again. */
  sendGoingAway(): boolean {
    if (!this.isBetweenFrames) return false;
    this.isClosing = true;
    this.#write(GOING_AWAY);
    return true;
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && this.#where !== 'unknown';) {
      if (this.#where === 'head') at = this.#skipHead(chunk);
      else if (this.#where === 'frameHead') at = this.#readFrameHead(chunk, at);
      else at = this.#skipPayload(chunk, at);
    }
  }

  /** The whole head comes in one write in practice; it may come in several. Returns where frames begin. */
  #skipHead(chunk: Buffer): number {
    const before = this.#head.length;
    this.#head += chunk.toString('latin1');
    const end = this.#head.indexOf('\r\n\r\n');
    if (end === -1) {
      if (this.#head.length > HEAD_BYTES_MAX) this.#where = 'unknown';
      return chunk.length;
    }
    this.#where = this.#head.startsWith('HTTP/1.1 101 ') ? 'frameHead' : 'unknown';
    this.#head = '';
    return end + 4 - before;
  }

  #readFrameHead(chunk: Buffer, at: number): number {
    const head = this.#frameHead;
    do head[this.#frameHeadBytes++] = chunk[at++]!;
    while (at < chunk.length && this.#frameHeadBytes < frameHeadSize(head, this.#frameHeadBytes));
    if (this.#frameHeadBytes < frameHeadSize(head, this.#frameHeadBytes)) return at;
    if ((head[0]! & 0x0f) === 0x8) this.isClosing = true;
    const short = head[1]! & 0x7f;
    this.#payloadLeft = short === 126 ? head.readUInt16BE(2) : short === 127 ? Number(head.readBigUInt64BE(2)) : short;
    this.#frameHeadBytes = 0;
    this.#where = this.#payloadLeft === 0 ? 'frameHead' : 'payload';
    return at;
  }

  #skipPayload(chunk: Buffer, at: number): number {
    const skipped = Math.min(this.#payloadLeft, chunk.length - at);
    this.#payloadLeft -= skipped;
    if (this.#payloadLeft === 0) this.#where = 'frameHead';
    return at + skipped;
  }
}

/** From two bytes on the size is known. */
function frameHeadSize(head: Buffer, have: number): number {
  if (have < 2) return 2;
  const short = head[1]! & 0x7f;
  return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + (head[1]! & 0x80 ? 4 : 0);
}

/** Follows what the app writes to an upgraded socket from now on. */
export function trackFrames(socket: Socket): FrameTracker {
  const write = socket.write as (this: Socket, chunk: string | Uint8Array, ...rest: unknown[]) => boolean;
  const tracker = new FrameTracker((chunk) => void write.call(socket, chunk));
  Object.defineProperty(socket, 'write', {
    configurable: true,
    writable: true,
    value: function trackedWrite(this: Socket, chunk: string | Uint8Array, ...rest: unknown[]): boolean {
      tracker.push(toBuffer(chunk, rest[0]));
      return write.call(this, chunk, ...rest);
    },
  });
  return tracker;
}

function toBuffer(chunk: string | Uint8Array, encoding: unknown): Buffer {
  if (typeof chunk === 'string') return Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8');
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}
