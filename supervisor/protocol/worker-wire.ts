/**
 * The two wires between the supervisor and a Node worker's preload, both made by covet-init before the worker is spawned.
 *
 * **channel**: a stream pair, one JSON object a line, both ways. **hand-off**: a SEQPACKET pair, one JSON object a packet with
 * descriptors. A worker is not trusted: each message is decoded field by field, a line has a bound, and what does not decode
 * closes the channel and fails the worker.
 */

export const WORKER_WIRE_VERSION = { min: 1, max: 1 } as const;
/**
 * Name of a file in memory, JSON of NewWires, that a worker has open whose wires ended: covet-init and its supervisor were killed at once. It has
 * made new ones by then, and whoever takes over takes their far ends out of it.
 */
export const NEW_WIRES_FILE = 'covet-pm.wires';
/** One line of the channel; a longer one ends the conversation. */
export const CHANNEL_LINE_BYTES_MAX = 1_048_576;
/** Connections in one hand-over packet (SCM_RIGHTS takes 253). */
export const HANDOVER_BATCH_MAX = 64;

/**
 * What covet-exec's environment tells the preload, as JSON in COVET_BOOT. The preload acts only where COVET_WORKER is its own
 * pid, and deletes both before the app's first line.
 */
export interface WorkerBoot {
  readonly v: 1;
  readonly app: string;
  readonly slot: number;
  readonly generation: number;
  /** Descriptor numbers in the worker. */
  readonly channel: number;
  readonly handoff: number;
  /** `cluster`: the app sees cluster.isWorker. `fork`: node:cluster is left alone. */
  readonly mode: 'cluster' | 'fork';
  /** false: several in fork mode, each binding its own address; listen() is not touched. */
  readonly lend: boolean;
  /** Its preload's file. Whoever clears away copies of covet-pm sees here which ones are needed, whatever the app made of its command line. */
  readonly preload?: string;
}

/** Descriptors of the worker: the far ends. */
export interface NewWires {
  readonly channel: number;
  readonly handoff: number;
}

/** Worker → supervisor, on the channel. */
export type WorkerMessage =
  /** First line, and the answer to a supervisor's `hello`: everything it must know about a worker it did not start. */
  | {
      readonly t: 'hello';
      readonly min: number;
      readonly max: number;
      readonly pid: number;
      readonly node: string;
      readonly listeners: readonly string[];
      readonly ready: boolean;
    }
  /** A server listens on a lent socket, or a datagram socket is bound to one, or on one of its own (`own`: an address, not a listener's key). */
  | { readonly t: 'listening'; readonly listener: string; readonly own?: boolean }
  | { readonly t: 'closed'; readonly listener: string }
  /** The app's entry has been evaluated, an ES module's top-level awaits too. Once, and after each `hello` that it answers later. */
  | { readonly t: 'loaded' }
  /** process.send('ready'). */
  | { readonly t: 'ready' }
  /** process.send(anything else). */
  | { readonly t: 'message'; readonly data: unknown }
  /** Which of the two stop signals the app handles; sent when it changes. */
  | { readonly t: 'signals'; readonly sigterm: boolean; readonly sigint: boolean }
  /** While draining, at most every 250 ms: what is still open. */
  | { readonly t: 'draining'; readonly open: ConnectionCounts }
  /** Nothing in flight any more, or the deadline passed with `open` left. */
  | { readonly t: 'drained'; readonly counts: DrainCounts };

/** Supervisor → worker, on the channel. */
export type SupervisorMessage =
  | { readonly t: 'hello'; readonly min: number; readonly max: number }
  /** process.on('message'). */
  | { readonly t: 'message'; readonly data: unknown }
  /** The worker's generation is the live one: it reads the datagram sockets that it was lent `held`. */
  | { readonly t: 'take' }
  /** The slot is out of the set and its queue is empty: hand over, finish, close. Milliseconds from now. */
  | {
      readonly t: 'drain';
      readonly deadlineMs: number;
      readonly idleGraceMs: number | null;
      readonly handOver: boolean;
      /**
       * Listeners whose one socket this worker shares with its successors: stop accepting, or reading datagrams, there, without closing
       * a connection. On the others it goes on, for handshakes that crossed the flip, or because nobody else reads that socket.
       */
      readonly stopAccepting: readonly string[];
    };

/** Connections by kind; `http1Idle` are between messages. */
export interface ConnectionCounts {
  readonly http1: number;
  readonly http1Idle: number;
  readonly http2: number;
  readonly websocket: number;
  readonly sse: number;
  readonly raw: number;
}

export interface DrainCounts {
  /** Live HTTP/1 connections given to a worker of the new generation: the client saw nothing. */
  readonly handedOver: number;
  /** Closed after their last response, GOAWAY, close frame or end of stream. */
  readonly drained: ConnectionCounts;
  /** Idle past the grace: half-closed, read a little longer, closed. */
  readonly idleClosed: number;
  /** Still open at the deadline. */
  readonly cut: ConnectionCounts;
}

/**
 * Worker → supervisor, on the hand-off: a listen() by the app, or the bind() of a datagram socket. With it comes one descriptor, the far end of a SEQPACKET pair made
 * for this request alone, on which the worker waits for the LendReply: so threads of one worker never take each other's answer.
 */
export interface LendRequest {
  readonly t: 'lend';
  /** host as the app gave it, null when it gave none. */
  readonly host: string | null;
  readonly port: number | null;
  /** A Unix socket's path, absolute; then host and port are null. */
  readonly path: string | null;
  readonly ipv6Only: boolean;
  readonly backlog: number;
  /**
   * Of a bind() of node:dgram: whether it may share its address with others that say so too. Absent: a stream's listen().
   * `answersOnly`: the worker is bound there already and its slot leaves for good: any other slot's socket, to send answers from.
   */
  readonly datagram?: { readonly reuseAddr: boolean; readonly answersOnly?: boolean };
}

/** With `ok: true` comes one descriptor, the lent socket: bound, listening (a stream's), non-blocking. */
export type LendReply =
  | {
      readonly ok: true;
      /** The listener's key, `tcp://[::]:3000` or `udp://0.0.0.0:53`, as in `list --json`. */
      readonly listener: string;
      /** Of this app: base64, 48 bytes, for tls.Server#setTicketKeys. */
      readonly ticketKeys: string;
      /** A datagram socket that a worker of the live generation reads: this one reads it from `take` on. */
      readonly held?: boolean;
    }
  /** Becomes Node's own error on the server: code EADDRINUSE, EACCES…; syscall listen or bind. */
  | { readonly ok: false; readonly code: string; readonly errno: number; readonly syscall: string }
  /** Not an address covet-pm lends (several workers in fork mode, a port only this app's own code manages): bind it yourself. */
  | { readonly ok: 'self' };

/**
 * Supervisor → worker, on the hand-off: one end of a SEQPACKET pair to a worker of the other generation. An old worker gets it as
 * `heir` before `drain`; the new one as `inherit`, any time after it is ready. With `inherit` the other end may be the supervisor's own, which hands
 * over one connection to probe the worker.
 */
export type PeerNotice = { readonly t: 'heir' } | { readonly t: 'inherit' };

/**
 * Supervisor → worker, on the hand-off: with a listening socket that has no worker of its own, accept from it too; without a descriptor,
 * stop, for it has one again. A worker that has no server there, or drains, drops it.
 */
export interface StandInNotice {
  readonly t: 'standIn' | 'standDown';
  readonly listener: string;
  /** Whose socket it is, on which half. */
  readonly slot: number;
  readonly half: 0 | 1;
  readonly backlog: number;
}

/**
 * Old worker → new worker on that pair: connections between messages, at most HANDOVER_BATCH_MAX descriptors. The new worker answers
 * `taken` with the number, and the old one keeps its own descriptors until then; EOF before that and it serves them itself again.
 */
export type HandOver =
  | { readonly t: 'conns'; readonly listener: string }
  | { readonly t: 'taken'; readonly count: number }
  | { readonly t: 'refused'; readonly count: number };
