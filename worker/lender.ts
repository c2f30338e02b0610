/**
 * Asks the supervisor for the socket of a listen() or of a datagram socket's bind(). Each request carries the far end of a pair of its
 * own, and the thread waits on that, blocking: listen() without a host is synchronous in Node, and server.address() must be right when it
 * returns.
 *
 * A supervisor that dies with the request in hand closes the pair: the request is put again, to the next one. It waits in the hand-off
 * until that one reads, for covet-init holds the other end.
 */
import type { Native, PacketSocket } from '../native/index.ts';
import type { LendReply, LendRequest } from '../supervisor/protocol/worker-wire.ts';
import { say } from './say.ts';

/** A supervisor's restart takes 0.3 s; a listen() that nobody answers is an error the app should see. */
const LEND_TIMEOUT_MS = 10_000;
/** Each needs a supervisor that read the request and died; more is one that cannot answer. */
const TRIES_MAX = 5;

export type Loan =
  | { readonly kind: 'lent'; readonly fd: number; readonly listener: string; readonly ticketKeys: Buffer; readonly held: boolean }
  | { readonly kind: 'refused'; readonly code: string; readonly errno: number }
  | { readonly kind: 'self' };

export const SELF: Loan = { kind: 'self' };

/** What the supervisor lends; without a lender, or when nobody answers, the app binds by itself. */
export function borrow(lender: Lender | null, request: LendRequest): Loan {
  if (lender === null) return SELF;
  try {
    return lender.ask(request);
  } catch (error) {
    say(
      `nobody lends a socket for ${request.path ?? request.port} (${(error as NodeJS.ErrnoException).code ?? String(error)}): the app binds it itself, ignoring`,
    );
    return SELF;
  }
}

export class Lender {
  readonly #native: Native;
  readonly #wires: { readonly handoff: PacketSocket };

  constructor(native: Native, wires: { readonly handoff: PacketSocket }) {
    this.#native = native;
    this.#wires = wires;
  }

  /** Throws EPIPE or ECONNRESET when covet-init is gone too. */
  ask(request: LendRequest): Loan {
    const deadlineMs = performance.now() + LEND_TIMEOUT_MS;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const loan = this.#askOnce(request, deadlineMs);
      if (loan !== null) return loan;
    }
    return { kind: 'refused', code: 'ETIMEDOUT', errno: -110 };
  }

  #askOnce(request: LendRequest, deadlineMs: number): Loan | null {
    const [ours, theirs] = this.#native.socketPair('seqpacket');
    const replySocket = new this.#native.PacketSocket(ours);
    try {
      try {
        this.#wires.handoff.send(JSON.stringify(request), [theirs]);
      } finally {
        this.#native.closeFd(theirs);
      }
      const packet = replySocket.receive(Math.max(0, Math.ceil(deadlineMs - performance.now())));
      return packet === null ? null : this.#read(packet.text, packet.fds);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ETIMEDOUT') throw error;
      return { kind: 'refused', code: 'ETIMEDOUT', errno: -110 };
    } finally {
      replySocket.close();
    }
  }

  #read(text: string, fds: readonly number[]): Loan {
    const reply = JSON.parse(text) as LendReply;
    const [fd, ...surplus] = fds;
    for (const extra of surplus) this.#native.closeFd(extra);
    if (reply.ok === true && fd !== undefined)
      return { kind: 'lent', fd, listener: reply.listener, ticketKeys: Buffer.from(reply.ticketKeys, 'base64'), held: reply.held === true };
    if (fd !== undefined) this.#native.closeFd(fd);
    if (reply.ok === false) return { kind: 'refused', code: reply.code, errno: reply.errno };
    return { kind: 'self' };
  }
}
