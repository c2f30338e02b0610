/**
 * The supervisor's view of one worker process: its descriptors, its channel and hand-off, its signals, its end. One per start; the slot
 * outlives it. Decides nothing: what happens is told to the slot by callbacks, each at most once where it is an end.
 */
import { Socket } from 'node:net';
import type { PacketSocket } from '../../native/index.ts';
import type { Env } from '../env.ts';
import type { HeldWorker } from '../init/held.ts';
import type { InitClient } from '../init/init-client.ts';
import { workerRecord, type StateRecord } from '../init/state.ts';
import { LineSplitter } from '../protocol/rpc.ts';
import {
  CHANNEL_LINE_BYTES_MAX,
  WORKER_WIRE_VERSION,
  type LendReply,
  type LendRequest,
  type PeerNotice,
  type StandInNotice,
  type SupervisorMessage,
  type WorkerMessage,
} from '../protocol/worker-wire.ts';
import { spawnWorker, type SpawnOrder } from './spawn.ts';
import { endOf, type WorkerEnd } from './worker-end.ts';
import { decodeLendRequest, decodeWorkerMessage } from './worker-messages.ts';

export interface WorkerCallbacks {
  onRunning(): void;
  onFailed(reason: string): void;
  onExited(end: WorkerEnd): void;
  onMessage(message: WorkerMessage): void;
  onLend(request: LendRequest, reply: (reply: LendReply, fd?: number) => void): void;
  /** It broke the protocol; its channel is closed. */
  onMisbehaved(reason: string): void;
}

/** What spawn adds to an order: everything but the descriptors. */
export type WorkerOrder = Omit<SpawnOrder, 'out' | 'err' | 'fds' | 'report' | 'listenFds'>;

interface Pipes {
  readonly out: number;
  readonly err: number;
  readonly files: { readonly out: string; readonly err: string };
}

export class WorkerHandle {
  readonly key: string;
  readonly #env: Env;
  readonly #init: InitClient;
  readonly #callbacks: WorkerCallbacks;
  #channel: Socket | null = null;
  #handoff: PacketSocket | null = null;
  #pidfd = -1;
  /** Clock ticks after boot (/proc/PID/stat, field 22). */
  #start = '0';
  /** The read ends of its log pipes, which others copy from, and where covet-init writes their lines while there is no supervisor. */
  #pipes: Pipes | null = null;
  #channelFd = -1;
  #ended = false;
  pid = 0;
  startedMs = 0;

  constructor(env: Env, init: InitClient, key: string, callbacks: WorkerCallbacks) {
    this.#env = env;
    this.#init = init;
    this.key = key;
    this.#callbacks = callbacks;
  }

  /** Has covet-init record it, then spawns it. `lent` are sockets for LISTEN_FDS, owned from now on; `onPipes` gets the read ends before the first line. */
  async start(
    files: { out: string; err: string },
    lent: readonly number[],
    makeOrder: (fds: { channel: number; handoff: number }) => WorkerOrder,
    onPipes: (out: number, err: number) => void,
  ): Promise<void> {
    const { fds } = await this.#init.request('worker', { key: this.key, out: files.out, err: files.err });
    const [channel, channelTheirs, handoff, handoffTheirs, outRead, outWrite, errRead, errWrite, report] = fds as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    this.#open(channel, handoff);
    this.#pipes = { out: outRead, err: errRead, files };
    try {
      onPipes(outRead, errRead);
      // The worker holds the read ends of its own pipes too: if covet-init and supervisor both died, it would not get EPIPE (SPINE 7).
      const theirs = [...lent, channelTheirs, handoffTheirs, outRead, errRead];
      const order = makeOrder({ channel: 3 + lent.length, handoff: 4 + lent.length });
      const spawnError = await spawnWorker({ ...order, out: outWrite, err: errWrite, fds: theirs, report, listenFds: lent.length });
      if (spawnError !== null) this.failed(spawnError);
    } finally {
      for (const fd of [...lent, channelTheirs, handoffTheirs, outWrite, errWrite, report]) this.#env.native.closeFd(fd);
    }
  }

  /** Takes over the worker of a supervisor that is gone. Owns the descriptors from now on. */
  adopt({ pid, start, pidfd, channel, handoff, out, err, files }: HeldWorker, startedMs: number): void {
    this.pid = pid;
    this.#start = start;
    this.#pidfd = pidfd ?? -1;
    this.#pipes = { out, err, files };
    this.startedMs = startedMs;
    this.#open(channel, handoff, { isAdopted: true });
    // The line break ends a line that the one before us left half written.
    this.#channel?.write(`\n${JSON.stringify({ t: 'hello', ...WORKER_WIRE_VERSION } satisfies SupervisorMessage)}\n`);
  }

  running(pid: number, start: string, pidfd: number): void {
    this.pid = pid;
    this.#start = start;
    this.#pidfd = pidfd;
    this.startedMs = this.#env.nowMs();
    this.#callbacks.onRunning();
  }

  /** By sd_notify: as if its channel had said so. */
  saidReady(): void {
    this.#callbacks.onMessage({ t: 'ready' });
  }

  failed(reason: string): void {
    if (this.#end()) this.#callbacks.onFailed(reason);
  }

  exited(status: number): void {
    if (this.#end()) this.#callbacks.onExited(endOf(status));
  }

  /** The worker, for a covet-init that has to be told; null when it has none or is nobody's any more. */
  record(): StateRecord | null {
    if (this.#ended || this.#pipes === null || this.#handoff === null || this.#channelFd === -1) return null;
    const { out, err, files } = this.#pipes;
    return workerRecord({
      key: this.key,
      pid: this.pid,
      start: this.#start,
      files,
      fds: [this.#channelFd, this.#handoff.fd, out, err],
      pidfd: this.#pidfd === -1 ? null : this.#pidfd,
    });
  }

  get isAlive(): boolean {
    return !this.#ended;
  }

  /** By pidfd, so never at another process. False when there is none any more. */
  signal(number: number): boolean {
    if (this.#pidfd === -1) return false;
    try {
      this.#env.native.pidfdSignal(this.#pidfd, number);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
      throw error;
    }
  }

  send(message: SupervisorMessage): void {
    if (this.#channel?.writable) this.#channel.write(`${JSON.stringify(message)}\n`);
  }

  /** Passes one end of a pair between two workers, or a listening socket. The caller closes its own copy. */
  sendPeer(notice: PeerNotice | StandInNotice, ...fds: readonly number[]): boolean {
    try {
      this.#handoff?.send(JSON.stringify(notice), fds);
      return this.#handoff !== null;
    } catch {
      return false; // the worker is gone or does not read; its connections drain without hand-over
    }
  }

  #open(channel: number, handoff: number, { isAdopted = false } = {}): void {
    const splitter = new LineSplitter(CHANNEL_LINE_BYTES_MAX);
    // Its first line may be the rest of one that the supervisor before us began to read.
    let mayBeTorn = isAdopted;
    const receive = (line: string): void => {
      const isFirst = mayBeTorn;
      mayBeTorn = false;
      if (line === '' || (isFirst && !isWhole(line))) return;
      const message = decodeWorkerMessage(line);
      if (message !== null) this.#callbacks.onMessage(message);
    };
    this.#channelFd = channel;
    this.#channel = new Socket({ fd: channel, readable: true, writable: true });
    this.#channel.on('data', (chunk: Buffer) => this.#guard(() => splitter.push(chunk).forEach(receive)));
    // A worker that dies resets its channel; its end is told by covet-init.
    this.#channel.on('error', () => {});
    this.#handoff = new this.#env.native.PacketSocket(handoff);
    this.#handoff.start(
      (text, fds) => this.#guard(() => this.#receiveLend(text, fds)),
      () => {},
    );
  }

  #receiveLend(text: string, fds: number[]): void {
    const [replyFd, ...surplus] = fds;
    for (const fd of surplus) this.#env.native.closeFd(fd);
    if (replyFd === undefined) throw new SyntaxError('Expected a reply socket with a lend request, got none');
    const replySocket = this.#replySocket(replyFd);
    try {
      const request = decodeLendRequest(text);
      this.#callbacks.onLend(request, (reply, fd) => {
        try {
          replySocket.send(JSON.stringify(reply), fd === undefined ? [] : [fd]);
        } catch {
          // the worker is gone; its end is told by covet-init
        } finally {
          replySocket.close();
        }
      });
    } catch (error) {
      replySocket.close();
      throw error;
    }
  }

  /** A worker can send any descriptor for one: a file, a pipe, a socket of another kind. */
  #replySocket(fd: number): PacketSocket {
    try {
      return new this.#env.native.PacketSocket(fd);
    } catch (error) {
      this.#env.native.closeFd(fd);
      throw new SyntaxError(
        `Expected a SEQPACKET socket with a lend request, got another descriptor (${(error as NodeJS.ErrnoException).code})`,
        { cause: error },
      );
    }
  }

  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof RangeError || (error as Error).name === 'ValiError')) throw error;
      this.#closeWires();
      this.#callbacks.onMisbehaved(`broke the worker protocol: ${(error as Error).message}`);
    }
  }

  #end(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    this.#closeWires();
    if (this.#pidfd !== -1) this.#env.native.closeFd(this.#pidfd);
    this.#pidfd = -1;
    if (this.#pipes !== null) for (const fd of [this.#pipes.out, this.#pipes.err]) this.#env.native.closeFd(fd);
    this.#pipes = null;
    return true;
  }

  #closeWires(): void {
    this.#channel?.destroy();
    this.#channel = null;
    this.#channelFd = -1;
    this.#handoff?.close();
    this.#handoff = null;
  }
}

function isWhole(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}
