/**
 * The only loader of the addon and its typed face; a leaf. Policy stays in TypeScript: native code validates, makes the system
 * call and converts. Every failure is an Error with `code`, `errno` and `syscall`, as Node's own are.
 *
 * The binaries lie in prebuilds/linux-<arch>/ of the package: covet.node, covet-init, covet-exec.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * A SEQPACKET socket with descriptors: covet-init's wire, a worker's hand-off, a hand-over pair; or a datagram socket that is bound to a path,
 * which is only read, and never at its end: there a packet that is too large is an empty text. Owns the descriptor.
 */
export interface PacketSocket {
  /** Queued in order when the socket is full (at most 1,024 packets, then ENOBUFS is thrown); the caller keeps its own copies of `fds`. `text` is not empty. Throws EPIPE, ECONNRESET, EMSGSIZE, EBADF. */
  send(text: string, fds?: readonly number[]): void;
  /** Waits, blocking the thread, for one packet. null on EOF; throws ETIMEDOUT after `timeoutMs`. For boot, and for a worker's listen(). */
  receive(timeoutMs: number): Packet | null;
  /** Starts reading from the event loop; received descriptors are CLOEXEC and the callback owns them; `sender` is the pid of who sent it to a path, else 0. `onEnd` once, at EOF or error; a peer that died with packets of ours unread is ECONNRESET, after its own packets. */
  start(onPacket: (text: string, fds: number[], sender: number) => void, onEnd: (error: Error | null) => void): void;
  ref(): void;
  unref(): void;
  close(): void;
  readonly fd: number;
}

export interface Packet {
  readonly text: string;
  readonly fds: number[];
}

/** What a TCP listener's queue looks like (TCP_INFO): `listening` is tcpi_state === TCP_LISTEN, depth is tcpi_unacked. */
export interface QueueState {
  readonly listening: boolean;
  readonly depth: number;
  readonly max: number;
}

/**
 * Copies workers' pipes to files on a thread of its own: tee, find the last newline, write, then consume. A line is repeated at
 * worst, never lost; lines of several sources are not torn. A full disk holds for `stallMs` and then drops, counted.
 */
export interface LogCopier {
  /** A stream is one file. `timestamps` puts an ISO time before each line. Rotates to path.1 … path.`files` at `maxBytes` (0: never). Throws as open(2). */
  openStream(id: number, path: string, options: { maxBytes: number; files: number; timestamps: boolean; stallMs: number }): void;
  /** What the stream's pipes hold now is still written; its sources are let go without onSourceEnd. */
  closeStream(id: number): void;
  /**
   * The read end of a worker's pipe; the copier keeps a duplicate and closes it at EOF. `label` comes before each line, behind its time.
   * Throws EBADF when it is not a pipe, EMFILE.
   */
  addSource(streamId: number, sourceId: number, fd: number, label?: string): void;
  /** Resolves when everything now in the stream's pipes is in its file, or was given up. Rejects with ECANCELED at close(). */
  flush(streamId: number): Promise<void>;
  /** Opens the files again by name (an outside logrotate moved them). */
  reopen(): void;
  stats(): { bytes: number; lines: number; droppedBytes: number };
  close(): void;
}

/**
 * What may fail of a log: writing (writers wait, later lines are dropped), rotating and opening by name (the old file goes on), watching a
 * pipe (it is looked at ten times a second).
 */
export type LogAction = 'write' | 'rotate' | 'open' | 'watch';

export interface LogCopierEvents {
  /** Coalesced: the stream's file is `size` bytes long now; `rotated` when it began anew. */
  onGrown(streamId: number, size: number, rotated: boolean): void;
  /** A source's writers are all gone and everything it wrote is in the file. */
  onSourceEnd(streamId: number, sourceId: number): void;
  /** Something of a stream began to fail, with another code, or, with '', is well again. Once for each change. */
  onTrouble(streamId: number, action: LogAction, code: string): void;
  /** Coalesced: what could not be written for `stallMs` and more was given up. */
  onDropped(streamId: number, code: string, bytes: number): void;
}

/**
 * `rescue`: a thread that accepts connections which nobody takes from a worker's queue, and hands them to a worker that can, as HandOver of
 * supervisor/protocol/worker-wire.ts over a SEQPACKET pair of each worker. It sleeps unless something comes.
 *
 *   addQueue ──▶ nobody's ──serveQueue──▶ served ──orphanQueue──▶ orphan ──serveQueue──▶ served …      any ──retireQueue──▶ retired ──forMs──▶ removed
 *
 * A **served** queue is taken from when it was not empty for `rescueAfterMs` and its worker made no progress, while another worker of the listener
 * has an empty one: under overload nothing moves. An **orphan** (its worker is dead, the next not ready) and a **retired** one (of the generation
 * before) are emptied whenever a worker of the listener is free. Where nobody else could take, nothing is watched.
 *
 * Workers are numbers from 1, of the caller's choice, that no later worker ever has: what was decided for one is never carried out on its successor.
 */
export interface Rescuer {
  /** What it waits by, and why that is not io_uring: the error's code, '' where it is or was not asked for. */
  readonly backend: 'io_uring' | 'epoll';
  readonly ioUringRefused: string;
  /**
   * A listening TCP socket, of which it keeps a duplicate; `queue` is any number from 0, and one that exists is replaced. Connections of one
   * `listener` (its key) are given to workers that serve a queue of it. Throws EINVAL when it does not listen, and as queueState().
   */
  addQueue(queue: number, listener: string, fd: number): void;
  /** Its worker, of the live generation and ready. It takes connections of others too if it is a taker, in whichever order the two are said. */
  serveQueue(queue: number, worker: number): void;
  orphanQueue(queue: number): void;
  /** Removed after `forMs`; serveQueue() or orphanQueue() before that brings it back. */
  retireQueue(queue: number, forMs: number): void;
  removeQueue(queue: number): void;
  /**
   * A worker that takes hand-overs, and one end of a SEQPACKET pair whose other end it inherits. Owns the descriptor, unless it throws: EPROTOTYPE,
   * ENOTSOCK, EBADF. A worker that closes its end, or answers with what is no answer, is a taker no more.
   */
  addTaker(worker: number, fd: number): void;
  /** What it has not said it took goes to another. */
  removeTaker(worker: number): void;
  counts(): RescueCounts;
  /** Waits for the thread's end (it is never busy for long): its duplicates are closed then, and connections that nobody has are reset. */
  close(): void;
}

/** Since it began; `held` is of now. taken = handed + reset + held + what a worker has not answered for. */
export interface RescueCounts {
  /** Connections accepted from queues of others. */
  readonly taken: number;
  /** That a worker said it has. */
  readonly handed: number;
  /** That a worker gave back, or could not answer for any more; another gets them. */
  readonly refused: number;
  /** That nobody took within 10 s: their clients got RST. */
  readonly reset: number;
  readonly held: number;
  /** Looks at which a queue was due and no other worker idle: overload. */
  readonly allStuck: number;
  /** Of the thread, and those in which it looked at queues. */
  readonly wakes: number;
  readonly rounds: number;
  /** Failed accepts: the connection was gone; EMFILE or ENFILE; ENOBUFS or ENOMEM (both wait in their queue, tried again after 10 to 100 ms); the socket did not listen any more, and is not watched any more. */
  readonly connectionGone: number;
  readonly noDescriptors: number;
  readonly noMemory: number;
  readonly noListener: number;
}

export interface Native {
  /** Throws EPROTOTYPE for a socket of another kind. */
  PacketSocket: new (fd: number, kind?: 'seqpacket' | 'datagram') => PacketSocket;
  LogCopier: new (events: LogCopierEvents) => LogCopier;
  /** `auto`: io_uring where the host allows it, else epoll. A forced one that is refused throws why. `rescueAfterMs` is at least 2; queues are looked at each half of it. */
  Rescuer: new (options: { readonly rescueAfterMs: number; readonly backend: 'auto' | 'io_uring' | 'epoll' }) => Rescuer;
  /** AF_UNIX pair, CLOEXEC, non-blocking. */
  socketPair(kind: 'seqpacket' | 'stream'): [number, number];
  /** F_DUPFD_CLOEXEC. */
  duplicate(fd: number): number;
  closeFd(fd: number): void;
  setCloexec(fd: number, on: boolean): void;
  /** CLOEXEC for every open descriptor from `first` on: node's own sweep stops at the first hole. */
  setCloexecFrom(first: number): void;
  /**
   * Attaches the classic program that picks among `indices` of the socket's reuseport group (a repeated index is a weight);
   * with `steer`, connections whose source is loopback:`port` go to `index`. Replaces the previous program atomically. EPERM on a lent socket (SO_LOCK_FILTER).
   */
  attachSelector(fd: number, indices: readonly number[], steer?: { readonly port: number; readonly index: number }): void;
  /** Takes the group's program away, through a locked socket too: the kernel hashes. ENOENT when there was none. */
  detachSelector(fd: number): void;
  queueState(fd: number): QueueState;
  /** listen(2) again: sets the backlog of a listening socket; brings a shut-down one back. */
  listenAgain(fd: number, backlog: number): void;
  /** The address a socket is bound to; for a Unix socket { path }. */
  socketName(fd: number): { address: string; port: number; family: 4 | 6 } | { path: string };
  pidfdOpen(pid: number): number;
  /** ESRCH when the process is gone. Signal by number. */
  pidfdSignal(pidfd: number, signal: number): void;
  /** A duplicate of another process's descriptor. EPERM where we may not trace it (ptrace(2)); ESRCH, EBADF. */
  pidfdGetfd(pidfd: number, fd: number): number;
  /** A file in memory that /proc/PID/fd shows as `/memfd:<name> (deleted)`. */
  memoryFile(name: string, text: string): number;
  peerCredentials(fd: number): { pid: number; uid: number; gid: number };
  /** sched_getaffinity of a process (0: this one), CPU numbers. */
  affinity(pid: number): number[];
  /** Whether somebody holds flock(2) on a file, as a covet-init does on its lock. Throws as open(2). */
  isLocked(path: string): boolean;
  /** Waits for flock(2) on a file, which is made if it is absent, and has it until the descriptor is closed. Throws as open(2). */
  lock(path: string): number;
  /** Replaces this process; descriptors in `keep` survive, everything else is CLOEXEC. Returns only by throwing. */
  execve(path: string, argv: readonly string[], env: readonly string[], keep: readonly number[]): never;
  /** Kept for the process: the threads of it, and nobody else, read it with leftForThreads(), '' when nothing was left. */
  leaveForThreads(text: string): void;
  leftForThreads(): string;
  /** What this host allows, each tried and not guessed: 'ok' or the error's code. */
  probe(): { reuseportBpf: string; ebpf: string; ioUring: string; pidfd: string; pidfdInfoExit: string; ptraceScope: number };
}

/** The package's folder: the nearest above this file with a package.json, for the sources, dist/ and build/test/ alike. */
export function packageRoot(): string {
  let folder: string = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error(`Expected a package.json above ${import.meta.dirname}, found none. Reinstall covet-pm.`);
    folder = parent;
  }
  return folder;
}

/** Where a binary of this machine's architecture is. Throws an Error that says how to build it when there is none. */
export function binary(name: 'covet.node' | 'covet-init' | 'covet-exec'): string {
  const root = packageRoot();
  const path = join(root, 'prebuilds', `linux-${process.arch}`, name);
  if (existsSync(path)) return path;
  // A clone has both packages; an installed covet-pm has not, for nobody else needs them.
  const build = `npm install --prefix ${root} --no-save node-gyp@12 node-addon-api@8 && node ${join(root, 'scripts', 'build-native.mjs')}`;
  throw new Error(
    `Expected ${name} for linux-${process.arch} in the package, found none. With g++, make and python3 this builds it: ${build}`,
  );
}

let loaded: Native | undefined;

/** The addon, loaded at the first call (~1 ms). As require() does it, which an ES module would have to load node:module for. */
export function native(): Native {
  if (loaded === undefined) {
    const module = { exports: {} as Native };
    process.dlopen(module, binary('covet.node'));
    loaded = module.exports;
  }
  return loaded;
}
