/**
 * listen() on a lent socket. The app's call runs through Node unchanged, with all its forms, checks and look-ups, down to the point
 * where Node would bind; there the supervisor is asked, and Node listens on the descriptor it lent instead. So 'listening', address(),
 * AbortSignal, close and listen again are Node's own.
 *
 * What cannot be lent (a descriptor or handle of the app's, an abstract Unix address, a refusal `self`) is bound by the app as ever,
 * and told as its own.
 */
import { Server } from 'node:net';
import { resolve } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import type { Native } from '../native/index.ts';
import type { LendRequest } from '../supervisor/protocol/worker-wire.ts';
import { borrow, SELF, type Lender, type Loan } from './lender.ts';
import { BACKLOG_DEFAULT, FLAG_IPV6_ONLY, handleOf, listenSeam, replaceListenSeam, type SetUpListen } from './node-internals.ts';
import { say } from './say.ts';
import type { Servers } from './servers.ts';

export interface ListenParts {
  readonly servers: Servers;
  /** Null: every listen() is the app's own; it is only told. */
  readonly lending: { readonly native: Native; readonly lender: Lender } | null;
}

/** Wraps the two ends of a server's listening, once per thread. */
export function watchListening(parts: ListenParts): void {
  const original = listenSeam();
  if (original === null)
    return say(`Node ${process.versions.node} has no seam for listen() that covet-pm knows: this app binds its own addresses, ignoring`);
  replaceListenSeam(function covetListen(address, port, addressType, backlog, fd, flags) {
    const request =
      parts.lending !== null && typeof fd !== 'number' && handleOf(this) === null ? lendRequest(address, port, backlog, flags) : null;
    const loan = request === null ? SELF : borrow(parts.lending?.lender ?? null, request);
    if (loan.kind === 'self') listenAlone(parts, this, () => original.call(this, address, port, addressType, backlog, fd, flags));
    else if (loan.kind === 'lent') listenLent(parts, this, loan, original, backlog, { address, port });
    else emitListenError(this, loan, address, port);
  });
  const close = Server.prototype.close;
  Server.prototype.close = function covetClose(callback) {
    if (handleOf(this) !== null) parts.servers.closed(this);
    return close.call(this, callback);
  };
}

function lendRequest(
  address: string | null,
  port: number | null,
  backlog: number | undefined,
  flags: number | undefined,
): LendRequest | null {
  const common = { t: 'lend', ipv6Only: ((flags ?? 0) & FLAG_IPV6_ONLY) !== 0, backlog: backlog || BACKLOG_DEFAULT } as const;
  if (port === null) return null;
  if (port >= 0) return { ...common, host: address || null, port, path: null };
  if (address === null || address.startsWith('\0')) return null;
  return { ...common, host: null, port: null, path: resolve(address) };
}

function listenLent(
  { servers, lending }: ListenParts,
  server: Server,
  loan: Loan & { kind: 'lent' },
  original: SetUpListen,
  backlog: number | undefined,
  asked: { address: string | null; port: number | null },
): void {
  const native = lending!.native;
  if (servers.listeningOn(loan.listener) !== null) {
    native.closeFd(loan.fd);
    return emitListenError(server, { code: 'EADDRINUSE', errno: -98 }, asked.address, asked.port);
  }
  shareTicketKeys(server, loan.ticketKeys);
  original.call(server, null, null, null, backlog, loan.fd);
  // The handle owns the descriptor, unless there is none: then Node has told the app why.
  if (handleOf(server) === null) native.closeFd(loan.fd);
  else servers.opened(server, loan.listener, true);
}

function listenAlone({ servers }: ListenParts, server: Server, listen: () => void): void {
  listen();
  if (handleOf(server) !== null) servers.opened(server, ownAddress(server), false);
}

function ownAddress(server: Server): string {
  const address = server.address();
  if (address === null) return `fd:${handleOf(server)?.fd ?? -1}`;
  if (typeof address === 'string') return `unix:${address}`;
  return `tcp://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
}

/** One app, one set of keys: a session of one worker is resumed by another, and no reconnect pays a full handshake. Keys of the app's own stay. */
function shareTicketKeys(server: Server, keys: Buffer): void {
  const secure = server as Server & { ticketKeys?: Buffer; setTicketKeys?: (keys: Buffer) => void };
  if (keys.length === 48 && secure.ticketKeys === undefined) secure.setTicketKeys?.(keys);
}

/** As lib/net.js shapes it, when it shapes it: on the next tick, and always as of `listen`, which apps compare with. */
function emitListenError(
  server: Server,
  { code, errno }: { code: string; errno: number },
  address: string | null,
  port: number | null,
): void {
  // Without a host Node tries :: first, and 0.0.0.0 where that cannot be bound at all.
  const host = address ?? (code === 'EADDRINUSE' ? '::' : '0.0.0.0');
  const negative = -Math.abs(errno);
  const reason = getSystemErrorMap().get(negative)?.[1] ?? 'refused by covet-pm';
  const where = port !== null && port > 0 ? `${host}:${port}` : host;
  const error = Object.assign(
    new Error(`listen ${code}: ${reason} ${where}`),
    { code, errno: negative, syscall: 'listen', address: host },
    port === null || port === 0 ? {} : { port },
  );
  process.nextTick(() => server.emit('error', error));
}
