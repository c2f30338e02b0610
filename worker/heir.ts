/**
 * The giving side of a hand-over: the pair to a worker of the new generation (handover.ts is its other side). A connection given keeps
 * our descriptor, unread, until the heir says `taken`; if it refuses or is gone we read on, and the client has noticed nothing.
 */
import type { PacketSocket } from '../native/index.ts';
import { HANDOVER_BATCH_MAX, type HandOver } from '../supervisor/protocol/worker-wire.ts';
import type { Connection } from './connections.ts';
import { handleOf } from './node-internals.ts';
import { guarded } from './say.ts';

export interface HeirCallbacks {
  /** The heir has them; ours are closed. */
  onTaken(connections: readonly Connection[]): void;
  /** They are ours again, and this heir will not have them. */
  onReturned(connections: readonly Connection[]): void;
}

export class Heir {
  readonly #socket: PacketSocket;
  readonly #callbacks: HeirCallbacks;
  /** Sent and not answered, in order. */
  readonly #sent: Connection[][] = [];
  isGone = false;

  constructor(socket: PacketSocket, callbacks: HeirCallbacks) {
    this.#socket = socket;
    this.#callbacks = callbacks;
    socket.start(
      (text) => guarded('a hand-over answer', () => this.#answered(JSON.parse(text) as HandOver), undefined),
      () => this.#end(),
    );
  }

  /** Connections of one listener, between messages, each still being read. */
  give(listener: string, connections: readonly Connection[]): void {
    for (let from = 0; from < connections.length; from += HANDOVER_BATCH_MAX)
      this.#giveBatch(listener, connections.slice(from, from + HANDOVER_BATCH_MAX));
  }

  close(): void {
    this.#socket.close();
    this.#end();
  }

  #giveBatch(listener: string, batch: Connection[]): void {
    // What arrives from here on stays in the kernel, for the heir or for us.
    for (const { socket } of batch) handleOf(socket)?.readStop();
    try {
      const fds = batch.map(({ socket }) => handleOf(socket)?.fd ?? -1);
      this.#socket.send(JSON.stringify({ t: 'conns', listener } satisfies HandOver), fds);
      this.#sent.push(batch);
    } catch {
      this.isGone = true;
      this.#return(batch);
    }
  }

  #answered(answer: HandOver): void {
    const batch = this.#sent.shift();
    if (batch === undefined) return;
    if (answer.t === 'taken') this.#callbacks.onTaken(batch);
    else this.#return(batch);
  }

  #end(): void {
    this.isGone = true;
    for (const batch of this.#sent.splice(0)) this.#return(batch);
  }

  #return(batch: readonly Connection[]): void {
    for (const { socket } of batch) handleOf(socket)?.readStart();
    this.#callbacks.onReturned(batch);
  }
}
