/** What a load client is told: plain data, for it crosses to the load process. */

export interface Target {
  readonly host: string;
  readonly port: number;
  /** A Unix socket instead of host and port. */
  readonly socketPath?: string;
  readonly tls?: boolean;
}

export const CLIENTS = [
  'reconnect',
  'keepAlive',
  'agent',
  'undici',
  'undiciPipelining',
  'halfHead',
  'upload',
  'slowDownload',
  'http2',
  'websocket',
  'sse',
] as const;
export type ClientKind = (typeof CLIENTS)[number];

export interface LoadOptions {
  readonly kind: ClientKind;
  readonly target: Target;
  /** In parallel. */
  readonly connections: number;
  /** Pause between an answer and the next request of a connection, drawn evenly from this range. */
  readonly thinkMs?: readonly [number, number];
  /** No answer by then is a loss. Never below DEADLINE_MS_MIN: a short one would count slowness as loss. */
  readonly deadlineMs?: number;
}

export const DEADLINE_MS_MIN = 10_000;
export const DEADLINE_MS = 30_000;
/** Body of `upload` and `slowDownload`. */
export const LARGE_BYTES = 3 * 1_048_576;
