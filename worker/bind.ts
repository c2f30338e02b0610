/**
 * bind() of node:dgram on a lent socket: the slot's own of a reuseport group. The app's call runs through Node unchanged, with all its
 * forms, checks and look-ups, down to the handle, where Node would bind; there the supervisor is asked, and the handle opens the
 * descriptor it lent instead. In cluster mode Node asks a primary first, and the facade's answer comes by the same handle.
 *
 * The app binds by itself, as ever, what Node's cluster does not share (`exclusive`, `reusePort`, the port that a first send() takes), and in
 * fork mode bind(0): a number that nobody else can know. An own socket is told where a second worker could not have it beside this one.
 */
import { Socket } from 'node:dgram';
import type { Native } from '../native/index.ts';
import type { Datagrams } from './datagrams.ts';
import { borrow, SELF, type Lender, type Loan } from './lender.ts';
import {
  FLAG_UDP_IPV6_ONLY,
  FLAG_UDP_REUSE_ADDR,
  FLAG_UDP_REUSE_PORT,
  makeUdpHandle,
  udpHandleOf,
  type UdpHandle,
} from './node-internals.ts';

const PORT_MAX = 65_535;
const EADDRINUSE = 98; // errno(3) on Linux; node:os is not loaded for it before every app

export interface BindParts {
  readonly datagrams: Datagrams;
  readonly mode: 'cluster' | 'fork';
  /** Null: every bind() is the app's own; it is only told. */
  readonly lending: { readonly native: Native; readonly lender: Lender } | null;
}

interface Binding {
  readonly socket: Socket;
  readonly handle: UdpHandle;
  readonly isExclusive: boolean;
  readonly address: string;
  readonly port: number;
  readonly flags: number;
  /** Node's own bind of that handle: 0, or a negative errno. */
  own(): number;
}

/** Wraps the two ends of a datagram socket's life, once per thread. */
export function watchBinding(parts: BindParts): void {
  const { bind, close } = Socket.prototype;
  /** By handle: an app may bind() again after an error. */
  const ownBinds = new WeakMap<UdpHandle, UdpHandle['bind']>();
  Socket.prototype.bind = function covetBind(this: Socket, ...args: unknown[]) {
    const asked = udpHandleOf(this);
    if (asked !== null) {
      const own = ownBinds.get(asked) ?? asked.bind;
      ownBinds.set(asked, own);
      asked.bind = lendingBind(parts, this, own, isExclusiveBind(args[0]));
    }
    return (bind as (...args: unknown[]) => Socket).apply(this, args);
  };
  Socket.prototype.close = function covetClose(this: Socket, ...args) {
    const closed = close.apply(this, args);
    parts.datagrams.closed(this);
    return closed;
  };
}

function isExclusiveBind(asked: unknown): boolean {
  return typeof asked === 'object' && asked !== null && 'exclusive' in asked && Boolean(asked.exclusive);
}

/** In cluster mode `this` is another handle than the socket's: the one that takes its place. */
function lendingBind(parts: BindParts, socket: Socket, bind: UdpHandle['bind'], isExclusive: boolean): UdpHandle['bind'] {
  return function covetBindHandle(address, port, flags) {
    const own = () => bind.call(this, address, port, flags);
    return bindHandle(parts, { socket, handle: this, isExclusive, address, port: Number(port), flags, own });
  };
}

/** 0, or a negative errno, of which Node makes its error. */
function bindHandle(parts: BindParts, binding: Binding): number {
  const { isExclusive, address, port, flags } = binding;
  const reuseAddr = (flags & FLAG_UDP_REUSE_ADDR) !== 0;
  const isPort = Number.isInteger(port) && port >= 0 && port <= PORT_MAX;
  const isOwn = isExclusive || !isPort || (flags & FLAG_UDP_REUSE_PORT) !== 0 || (port === 0 && parts.mode === 'fork');
  const loan = isOwn
    ? SELF
    : borrow(parts.lending?.lender ?? null, {
        t: 'lend',
        host: address,
        port,
        path: null,
        ipv6Only: (flags & FLAG_UDP_IPV6_ONLY) !== 0,
        backlog: 0,
        datagram: { reuseAddr },
      });
  if (loan.kind === 'refused') return -Math.abs(loan.errno);
  if (loan.kind === 'self') return bindAlone(parts, binding);
  return bindLent(parts, binding, loan, reuseAddr);
}

function bindLent(parts: BindParts, binding: Binding, loan: Loan & { kind: 'lent' }, reuseAddr: boolean): number {
  const { socket, handle } = binding;
  const { native } = parts.lending!;
  if (parts.datagrams.isBound(loan.listener)) {
    native.closeFd(loan.fd);
    return reuseAddr ? bindAlone(parts, binding) : -EADDRINUSE;
  }
  const error = handle.open(loan.fd);
  if (error !== 0) {
    native.closeFd(loan.fd);
    return error;
  }
  forgetPredecessor(handle);
  if (loan.held) parts.datagrams.hold(handle);
  parts.datagrams.opened(socket, loan.listener, () => borrowOther(parts, handle));
  return 0;
}

/** A handle on another slot's socket of the same address; null where nobody lends one. */
function borrowOther({ lending }: BindParts, own: UdpHandle): UdpHandle | null {
  const { address: host, port } = boundTo(own);
  const datagram = { reuseAddr: false, answersOnly: true };
  const loan = borrow(lending?.lender ?? null, { t: 'lend', host, port, path: null, ipv6Only: false, backlog: 0, datagram });
  if (loan.kind !== 'lent') return null;
  const other = makeUdpHandle(own);
  if (other.open(loan.fd) === 0) return other;
  lending?.native.closeFd(loan.fd);
  return null;
}

function bindAlone({ datagrams }: BindParts, { socket, handle, port, flags, own }: Binding): number {
  const error = own();
  const isShared = (flags & (FLAG_UDP_REUSE_ADDR | FLAG_UDP_REUSE_PORT)) !== 0;
  if (error === 0 && port > 0 && !isShared) datagrams.opened(socket, ownAddress(handle), null);
  return error;
}

function ownAddress(handle: UdpHandle): string {
  const { address, port } = boundTo(handle);
  return `udp://${address.includes(':') ? `[${address}]` : address}:${port}`;
}

function boundTo(handle: UdpHandle): { address: string; port: number } {
  const bound = { address: '', port: 0 };
  handle.getsockname(bound);
  return bound;
}

/** The socket is as the worker before this one left it: connected to one peer, or a member of groups that this one is about to join. */
function forgetPredecessor(handle: UdpHandle): void {
  if (handle.getpeername({}) === 0) handle.disconnect();
  for (const name of ['addMembership', 'addSourceSpecificMembership'] as const) {
    const join = handle[name];
    const joined = new Set<string>();
    handle[name] = (...where) => {
      const error = join.apply(handle, where);
      const isFirst = !joined.has(where.join(' '));
      joined.add(where.join(' '));
      return isFirst && error === -EADDRINUSE ? 0 : error;
    };
  }
}
