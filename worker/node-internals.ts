/**
 * Every part of Node that the worker touches below the documented API, with its type, in one place: read on Node 20, 22, 24 and 26.
 *
 * The seam for listen() is net.Server#_listen2(), which Node keeps under this name "to avoid breaking code that wraps this method"
 * (lib/net.js): whatever form a listen() call had, by then it is checked, its host is looked up, and the call is synchronous.
 */
import { Server, type Socket } from 'node:net';

/** TCPWrap and PipeWrap: what a socket or a listening server has in `_handle`. */
export interface StreamHandle {
  readonly fd: number;
  readonly writeQueueSize: number;
  /** Whether Node wants to read; what readStop() here does not change. */
  readonly reading: boolean;
  /** What libuv calls with an accepted connection. */
  onconnection(status: number, client: StreamHandle): void;
  /** 0, or a negative errno; the handle owns the descriptor then. */
  open(fd: number): number;
  /** 0, or a negative errno. */
  listen(backlog: number): number;
  readStart(): number;
  readStop(): number;
  close(): void;
  ref(): void;
  unref(): void;
  hasRef(): boolean;
  getsockname?(out: object): number;
}

/** What net.Server asks of it once it listens. */
export type ListeningHandle = Pick<StreamHandle, 'fd' | 'close' | 'ref' | 'unref' | 'hasRef' | 'getsockname'>;

/** Address null: none was given. Port -1: address is a Unix path. A number as fd: an open descriptor is listened on. */
export type SetUpListen = (
  this: Server,
  address: string | null,
  port: number | null,
  addressType: number | null,
  backlog?: number,
  fd?: number | null,
  flags?: number,
) => void;

/** UV_TCP_IPV6ONLY in `flags`. */
export const FLAG_IPV6_ONLY = 1;
/** What lib/net.js takes when the app names no backlog. */
export const BACKLOG_DEFAULT = 511;

/** UV_UDP_IPV6ONLY, UV_UDP_REUSEADDR and UV_UDP_REUSEPORT in the `flags` of a datagram socket's bind. */
export const FLAG_UDP_IPV6_ONLY = 1;
export const FLAG_UDP_REUSE_ADDR = 4;
export const FLAG_UDP_REUSE_PORT = 64;

/** UDPWrap: numbers that it returns are 0, or a negative errno. */
export interface UdpHandle {
  /** The port as the app gave it: a number, or its digits. */
  bind(this: UdpHandle, address: string, port: number | string, flags: number): number;
  /** The handle owns the descriptor then. */
  open(fd: number): number;
  /** A property, set when reading begins. */
  onmessage(...args: unknown[]): void;
  recvStart(): number;
  recvStop(): number;
  getsockname(out: object): number;
  getpeername(out: object): number;
  disconnect(): number;
  addMembership(...where: (string | undefined)[]): number;
  addSourceSpecificMembership(...where: (string | undefined)[]): number;
  close(): void;
}

interface Internals {
  _handle?: StreamHandle | null;
  _parent?: Socket | null;
  _listen2?: SetUpListen;
  _header?: string | null;
}

export function handleOf(owner: Server | Socket): StreamHandle | null {
  return (owner as unknown as Internals)._handle ?? null;
}

export function replaceHandle(server: Server, handle: ListeningHandle): void {
  (server as unknown as { _handle: ListeningHandle })._handle = handle;
}

/** A handle of the same class, for a connection (SOCKET is 0 for TCP and Pipe alike). */
export function makeConnectionHandle(like: StreamHandle): StreamHandle {
  return new (like.constructor as new (type: number) => StreamHandle)(0);
}

/** Another that listens (SERVER, for TCP and Pipe alike). */
export function makeListeningHandle(like: StreamHandle): StreamHandle {
  return new (like.constructor as new (type: number) => StreamHandle)(1);
}

/** The connection under a TLSSocket. */
export function socketUnder(secure: Socket): Socket | null {
  return (secure as unknown as Internals)._parent ?? null;
}

export function listenSeam(): SetUpListen | null {
  return (Server.prototype as unknown as Internals)._listen2 ?? null;
}

export function replaceListenSeam(setUp: SetUpListen): void {
  (Server.prototype as unknown as Internals)._listen2 = setUp;
}

/** The head of a response as it went out, null before. writeHead(status, headers) leaves it nowhere else. */
export function sentHead(response: object): string | null {
  return (response as Internals)._header ?? null;
}

/** What a dgram socket has, bound or not. */
export function udpHandleOf(socket: object): UdpHandle | null {
  return udpStateOf(socket)?.handle ?? null;
}

function udpStateOf(socket: object): { handle?: UdpHandle } | undefined {
  const key = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol');
  return key === undefined ? undefined : (socket as Record<symbol, { handle?: UdpHandle } | undefined>)[key];
}

/** The socket sends from that handle from now on, and its own is the caller's to close. */
export function replaceUdpHandle(socket: object, own: UdpHandle, handle: UdpHandle): void {
  const state = udpStateOf(socket);
  if (state !== undefined) state.handle = Object.assign(handle, own);
}

export function makeUdpHandle(like: UdpHandle): UdpHandle {
  return new (like.constructor as new () => UdpHandle)();
}
