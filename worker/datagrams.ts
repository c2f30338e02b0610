/**
 * The datagram sockets of this thread that are bound to an address somebody knows, by listener, and their part in a drain.
 *
 * There is no connection to finish, and nobody can tell which datagram the app has yet to answer: a socket stops reading, and can still
 * send, for as long as an answer may reasonably take. What it has not read waits in the kernel, for whoever reads that socket next.
 */
import type { Socket } from 'node:dgram';
import { udpHandleOf, type UdpHandle } from './node-internals.ts';
import type { Report } from './report.ts';

/** For answers to what was read; an app that needs longer says so with onDrain(). */
const ANSWER_MS = 1_000;
const FOR_EVER_MS = 2_147_483_647;

interface Bound {
  readonly socket: Socket;
  readonly listener: string;
  readonly isLent: boolean;
}

export class Datagrams {
  readonly #report: Report;
  readonly #bound = new Map<string, Bound>();
  #answersDueMs = 0;
  /** Bound handles that an older worker reads yet, each with Node's own recvStart. */
  readonly #held = new Map<UdpHandle, UdpHandle['recvStart']>();
  /** A handle that does not read keeps no process alive. */
  #alive: NodeJS.Timeout | null = null;
  /** Stopped reading, for a successor reads. */
  #passedOn: readonly string[] = [];

  constructor(report: Report) {
    this.#report = report;
  }

  isBound(listener: string): boolean {
    return this.#bound.has(listener);
  }

  get sockets(): Socket[] {
    return [...this.#bound.values()].map(({ socket }) => socket);
  }

  get lentListeners(): string[] {
    return [...this.#bound.values()].filter(({ isLent }) => isLent).map(({ listener }) => listener);
  }

  opened(socket: Socket, listener: string, isLent: boolean): void {
    const bound = { socket, listener, isLent };
    this.#bound.set(listener, bound);
    this.#tell(bound);
  }

  closed(socket: Socket): void {
    for (const { socket: other, listener } of this.#bound.values()) {
      if (other !== socket) continue;
      this.#bound.delete(listener);
      this.#report.tell({ t: 'closed', listener });
    }
  }

  tellListening(): void {
    for (const bound of this.#bound.values()) this.#tell(bound);
  }

  /** Node is about to read from it: not before take(). */
  hold(handle: UdpHandle): void {
    this.#alive ??= setInterval(() => {}, FOR_EVER_MS);
    this.#held.set(handle, handle.recvStart);
    handle.recvStart = () => 0;
  }

  /** Our generation is the live one. */
  take(): void {
    for (const [handle, recvStart] of this.#held) {
      handle.recvStart = recvStart;
      handle.recvStart(); // EBADF when the app closed it meanwhile
    }
    this.#held.clear();
    if (this.#alive !== null) clearInterval(this.#alive);
    this.#alive = null;
  }

  /** Of `passedOn` a successor reads the same socket. Nobody else reads the others: they are read to the end of the drain. */
  beginDrain(passedOn: readonly string[]): void {
    if (this.#bound.size > 0) this.#answersDueMs = performance.now() + ANSWER_MS;
    this.#passedOn = passedOn;
    for (const { socket, listener } of this.#bound.values()) if (passedOn.includes(listener)) udpHandleOf(socket)?.recvStop();
  }

  isAnswering(nowMs: number): boolean {
    return nowMs < this.#answersDueMs;
  }

  /**
   * Called when the loop has just read what had arrived. A socket that nobody else has leaves the kernel's choice by being closed; the app
   * is not told, and finds its later send() unheard.
   */
  endDrain(): void {
    for (const { socket, listener } of this.#bound.values()) if (!this.#passedOn.includes(listener)) udpHandleOf(socket)?.close();
  }

  #tell({ listener, isLent }: Bound): void {
    this.#report.tell(isLent ? { t: 'listening', listener } : { t: 'listening', listener, own: true });
  }
}
