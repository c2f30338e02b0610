/**
 * The matrix of "reload drops nothing": which apps, and which clients make sense for each. `keeps`: on plain HTTP/1 the client's
 * connections are the same ones after any number of reloads, because the idle ones are handed over.
 */
import type { ClientKind } from '../load/options.ts';

export interface Cell {
  readonly client: ClientKind;
  readonly connections: number;
  readonly thinkMs?: readonly [number, number];
  readonly keeps?: boolean;
  /** Asks on PORT + so many, not on PORT. */
  readonly portOffset?: number;
  /** Instance 0 alone answers. */
  readonly oneWorker?: boolean;
  /** One request takes a second or more; left out of most rows of a default run. */
  readonly slow?: boolean;
}

export interface Row {
  readonly app: string;
  readonly tls?: boolean;
  /** The app serves on the Unix socket SOCKET. */
  readonly unix?: boolean;
  readonly clients: readonly Cell[];
  /** Slow apps drain slowly. */
  readonly reloads?: number;
}

const reconnecting: Cell = { client: 'reconnect', connections: 6 };
const thinking = ([0, 50, 500] as const).map((max): Cell => ({
  client: 'keepAlive',
  connections: max === 0 ? 4 : 8,
  thinkMs: [0, max],
  keeps: true,
}));
const agents: readonly Cell[] = [
  { client: 'agent', connections: 4, thinkMs: [0, 20], keeps: true },
  { client: 'undici', connections: 4, thinkMs: [0, 20], keeps: true },
];

const http1: readonly Cell[] = [
  reconnecting,
  ...thinking,
  ...agents,
  { client: 'undiciPipelining', connections: 2, thinkMs: [0, 20] },
  { client: 'halfHead', connections: 6, keeps: true },
  { client: 'upload', connections: 2, keeps: true, slow: true },
  { client: 'slowDownload', connections: 2, keeps: true, slow: true },
];
const onNextPort = http1.filter(({ slow = false }) => !slow).map((cell): Cell => ({ ...cell, portOffset: 1 }));
const overTls = [reconnecting, ...thinking, ...agents].map((cell): Cell => ({ ...cell, keeps: false }));
const streams = ([0, 50, 500] as const).map((max): Cell => ({ client: 'http2', connections: max === 0 ? 2 : 4, thinkMs: [0, max] }));

export const ROWS: readonly Row[] = [
  { app: 'http.cjs', clients: http1 },
  { app: 'http.mjs', clients: http1 },
  { app: 'http.ts', clients: http1 },
  { app: 'express.cjs', clients: http1 },
  { app: 'fastify.mjs', clients: http1 },
  { app: 'slow-3s.cjs', clients: [reconnecting, ...thinking, ...agents], reloads: 2 },
  { app: 'own-signal-handler.cjs', clients: http1 },
  { app: 'late-second-port.cjs', clients: [...http1, ...onNextPort] },
  { app: 'admin-port-instance-0.cjs', clients: [...http1, ...onNextPort.map((cell) => ({ ...cell, oneWorker: true }))] },
  { app: 'unix-listener.cjs', unix: true, clients: [reconnecting, ...thinking] },
  { app: 'https.cjs', tls: true, clients: overTls },
  { app: 'http2.cjs', tls: true, clients: streams },
  { app: 'h2c.cjs', clients: streams },
  { app: 'ws-echo.cjs', clients: [{ client: 'websocket', connections: 8, thinkMs: [0, 30] }, ...http1] },
  { app: 'sse.cjs', clients: [{ client: 'sse', connections: 6 }, ...http1] },
];

/** "keepAlive that thinks 0-50 ms, on PORT + 1". */
export function nameOf({ client, thinkMs, portOffset }: Cell): string {
  const pause = thinkMs === undefined ? '' : ` that thinks ${thinkMs[0]}-${thinkMs[1]} ms`;
  return `${client}${pause}${portOffset === undefined ? '' : `, on PORT + ${portOffset}`}`;
}
