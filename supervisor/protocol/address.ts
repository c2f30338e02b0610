/**
 * Addresses of listeners: from what a worker's listen() or a config's `listen` says to one canonical key. Pure.
 *
 * The key is what `list --json` shows: tcp://[::]:3000 (dual stack), tcp://0.0.0.0:3000, udp://0.0.0.0:53, unix:/run/app.sock.
 */
import { isIPv4, isIPv6 } from 'node:net';
import type { LendRequest } from './worker-wire.ts';

export type InetAddress =
  /** `dual`: the one socket Node makes for listen(port), which takes IPv4 too. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly dual: boolean }
  /** `reuse`: with SO_REUSEADDR, as the app asked: shared with others that set it too. */
  | { readonly kind: 'udp'; readonly host: string; readonly port: number; readonly dual: boolean; readonly reuse: boolean };

export type Address = InetAddress | { readonly kind: 'unix'; readonly path: string };

/** How a listener's connections are spread, as far as its kind says it before it is opened. */
export const DISPATCH_UNOPENED = { tcp: 'bpf', udp: 'hash', unix: 'shared' } as const;

/** Where this host itself reaches it, and from where: by IPv4 where it takes both, for a container that has `::` need not have ::1. */
export function loopbackOf({ host, dual }: Address & { kind: 'tcp' }): { readonly host: string; readonly localAddress: string } {
  const any = host === '0.0.0.0' || dual ? '127.0.0.1' : '::1';
  const target = host === '0.0.0.0' || host === '::' ? any : host;
  return { host: target, localAddress: isIPv4(target) ? '127.0.0.1' : '::1' };
}

export function addressKey(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const host = isIPv6(address.host) ? `[${address.host}]` : address.host;
  return `${address.kind}://${host}:${address.port}`;
}

/** What a worker asks for. Host names were resolved by the worker. Null when it is not an address that can be lent. */
export function askedAddress(asked: Omit<LendRequest, 't' | 'backlog'>): Address | null {
  if (asked.path !== null) return asked.path.startsWith('\0') ? null : { kind: 'unix', path: asked.path };
  if (asked.port === null) return null;
  const host = asked.host ?? '::';
  if (!isIPv4(host) && !isIPv6(host)) return null;
  const where = { host, port: asked.port, dual: host === '::' && !asked.ipv6Only };
  return asked.datagram === undefined ? { kind: 'tcp', ...where } : { kind: 'udp', ...where, reuse: asked.datagram.reuseAddr };
}

/** One entry of a config's `listen`: tcp://host:port, host:port, :port, port, udp://host:port, or unix:/path. Null when it is none of these. */
export function parseListen(text: string): Address | null {
  if (text.startsWith('unix:/')) return { kind: 'unix', path: text.slice('unix:'.length) };
  const match = /^(?:(tcp|udp):\/\/)?(?:(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)|\*)?:)?(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const port = Number(match[4]);
  const host = match[2] ?? match[3] ?? '::';
  if (port > 65_535 || (!isIPv4(host) && !isIPv6(host))) return null;
  const where = { host, port, dual: host === '::' };
  if (match[1] !== 'udp') return { kind: 'tcp', ...where };
  // A datagram socket is made for one family, which only a host tells.
  return (match[2] ?? match[3]) === undefined ? null : { kind: 'udp', ...where, reuse: false };
}

/** Whether two addresses cannot be held by two apps at once: the same port on the same host, or on a wildcard of the same family. */
export function overlaps(a: Address, b: Address): boolean {
  if (a.kind === 'unix' || b.kind === 'unix') return a.kind === b.kind && addressKey(a) === addressKey(b);
  if (a.kind !== b.kind) return false;
  if (a.port !== b.port || a.port === 0) return false;
  return a.host === b.host || covers(a, b) || covers(b, a);
}

function covers(wide: InetAddress, narrow: InetAddress): boolean {
  if (wide.host === '0.0.0.0') return isIPv4(narrow.host) || narrow.dual;
  return wide.host === '::' && (isIPv6(narrow.host) || wide.dual);
}
