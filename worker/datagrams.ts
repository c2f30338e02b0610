/**
 * The datagram sockets of this thread that are bound to an address somebody knows, by listener, and their part in a drain.
 *
 * There is no connection to finish, and nobody can tell which datagram the app has yet to answer: a socket stops reading, and can still
 * send, for as long as an answer may reasonably take. What it has not read waits in the kernel, for whoever reads that socket next. Where
 * nobody will, the slot leaving for good, the kernel must stop choosing the socket, which it does when the last descriptor is closed: so the
 * worker reads it empty, closes it, and answers through another slot's.
 */
import type { Socket } from 'node:dgram';
import { replaceUdpHandle, udpHandleOf, type UdpHandle } from './node-internals.ts';
import type { Report } from './report.ts';

/** For answers to what was read; an app that needs longer says so with onDrain(). */
const ANSWER_MS = 1_000;
const FOR_EVER_MS = 2_147_483_647;

interface Bound {
  readonly socket: Socket;
  readonly listener: string;
  /** Of a lent one: a handle on another slot's socket of the address, to send from; null where there is none. */
  readonly borrowOther: (() => UdpHandle | null) | null;
}

export class Datagrams {
  readonly #report: Report;
  readonly #bound = new Map<string, Bound>();
  #answersDueMs = 0;
  /** Bound handles that an older worker reads yet, each with Node's own recvStart. */
  readonly #held = new Map<UdpHandle, UdpHandle['recvStart']>();
  /** A handle that does not read keeps no process alive. */
  #alive: NodeJS.Timeout | null = null;
  /** To be closed. */
  readonly #leaving = new Set<UdpHandle>();

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
    return [...this.#bound.values()].filter(({ borrowOther }) => borrowOther !== null).map(({ listener }) => listener);
  }

  /** `borrowOther` null: bound by the app itself. */
  opened(socket: Socket, listener: string, borrowOther: Bound['borrowOther']): void {
    const bound = { socket, listener, borrowOther };
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

  /** Of `passedOn` a successor reads the same socket. */
  beginDrain(passedOn: readonly string[]): void {
    if (this.#bound.size > 0) this.#answersDueMs = performance.now() + ANSWER_MS;
    for (const { socket, listener, borrowOther } of this.#bound.values()) {
      const own = udpHandleOf(socket);
      if (own === null) continue;
      this.#leaving.add(own);
      if (passedOn.includes(listener)) own.recvStop();
      else {
        const other = borrowOther?.() ?? null;
        if (other !== null) this.#leave(socket, own, other);
      }
    }
  }

  isAnswering(nowMs: number): boolean {
    return nowMs < this.#answersDueMs;
  }

  /**
   * The answers are sent: whoever has a descriptor longer keeps the kernel choosing that socket, also when nobody reads it any more. Called
   * when the loop has just read what had arrived. The app is not told, and a later send() is unheard.
   */
  endDrain(): void {
    for (const handle of this.#leaving) handle.close();
    this.#leaving.clear();
  }

  /** Closed after the first turn of the loop that had nothing to read from it. */
  #leave(socket: Socket, own: UdpHandle, other: UdpHandle): void {
    replaceUdpHandle(socket, own, other);
    let count = 0;
    const { onmessage } = own;
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- what libuv calls, no event target
    own.onmessage = (...args) => {
      count++;
      onmessage.apply(own, args);
    };
    const look = (before: number): void =>
      void setImmediate(() => {
        if (count !== before) return look(count);
        own.close();
        this.#leaving.delete(own);
      });
    look(-1);
  }

  #tell({ listener, borrowOther }: Bound): void {
    this.#report.tell(borrowOther === null ? { t: 'listening', listener, own: true } : { t: 'listening', listener });
  }
}
