/**
 * Plays covet-init and the supervisor for one worker process or several: makes the channel and the hand-off, spawns node with the preload,
 * lends listening sockets, introduces an old worker to its heir. A lent socket is made by node and duplicated; nobody accepts here.
 *
 * Everything waited for has a deadline, and `close()` leaves no process and no descriptor behind.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { EventEmitter, once } from 'node:events';
import { linkSync, renameSync } from 'node:fs';
import { createServer, Socket, type Server } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { native, packageRoot, type PacketSocket } from '../../native/index.ts';
import { LineSplitter } from '../../supervisor/protocol/rpc.ts';
import {
  CHANNEL_LINE_BYTES_MAX,
  type LendReply,
  type LendRequest,
  type PeerNotice,
  type StandInNotice,
  type SupervisorMessage,
  type WorkerBoot,
  type WorkerMessage,
} from '../../supervisor/protocol/worker-wire.ts';

/** Everything here takes milliseconds; a machine under load takes its time. */
export const DEADLINE_MS = 30_000;

export const node = process.env['COVET_TEST_NODE'] ?? process.execPath;
export const preload = process.env['COVET_TEST_PRELOAD'] ?? join(packageRoot(), 'dist', 'preload.cjs');
const TICKET_KEYS = Buffer.alloc(48, 7).toString('base64');

export function fixture(name: string): string {
  return join(packageRoot(), 'test', 'fixtures', name);
}

export interface WorkerOptions {
  readonly mode?: 'cluster' | 'fork';
  readonly lend?: boolean;
  readonly slot?: number;
  readonly generation?: number;
  readonly args?: readonly string[];
  readonly nodeArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What it is lent is read by an older worker. */
  readonly held?: boolean;
  /** How the preload gets there; `none`: plain node, for comparison. */
  readonly preload?: 'argv' | 'options' | 'none';
  /** Instead of the one under test. */
  readonly preloadFile?: string;
  /** Runs node as "$@". */
  readonly shell?: string;
}

/** How a lend request is answered. `drop`: the supervisor died with it in hand. `hang`: never. */
export type LendPolicy = (request: LendRequest) => LendReply | 'lend' | 'drop' | 'hang';

type Answer = { readonly reply: LendReply; readonly fd?: number } | 'drop' | 'hang';

export class FakeSupervisor {
  readonly #held = new Map<string, number>();
  readonly #workers: Worker[] = [];
  readonly requests: LendRequest[] = [];
  policy: LendPolicy = () => 'lend';

  /** Closed at the end of the test. */
  static for(test: TestContext): FakeSupervisor {
    const supervisor = new FakeSupervisor();
    test.after(() => supervisor.close());
    return supervisor;
  }

  spawn(script: string, options: WorkerOptions = {}): Worker {
    const worker = new Worker(script, options, (request) => this.#lend(request, options.held === true));
    this.#workers.push(worker);
    return worker;
  }

  /** As supervisor/slots/drain.ts does it. */
  introduce(old: Worker, heir: Worker): void {
    const [ours, theirs] = native().socketPair('seqpacket');
    heir.sendPeer({ t: 'inherit' }, theirs);
    old.sendPeer({ t: 'heir' }, ours);
    native().closeFd(ours);
    native().closeFd(theirs);
  }

  async close(): Promise<void> {
    for (const worker of this.#workers) await worker.kill();
    this.letGo();
  }

  /** Holds no socket any more: a worker's is its own. */
  letGo(): void {
    for (const fd of this.#held.values()) native().closeFd(fd);
    this.#held.clear();
  }

  async #lend(request: LendRequest, isHeld: boolean): Promise<Answer> {
    this.requests.push(request);
    const decided = this.policy(request);
    if (decided === 'drop' || decided === 'hang') return decided;
    if (decided !== 'lend') return { reply: decided };
    const { path, port } = request;
    const host = request.host ?? '::';
    const scheme = request.datagram === undefined ? 'tcp' : 'udp';
    const asked = path === null ? `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}` : `unix:${path}`;
    try {
      const held = port === 0 ? undefined : this.#held.get(asked);
      const make = request.datagram === undefined ? hold : holdDatagrams;
      const { fd, listener } = held === undefined ? await make(request, asked) : { fd: held, listener: asked };
      this.#held.set(listener, fd);
      return { reply: { ok: true, listener, ticketKeys: TICKET_KEYS, held: isHeld }, fd };
    } catch (error) {
      const { code, errno } = error as NodeJS.ErrnoException;
      return { reply: { ok: false, code: code ?? 'EINVAL', errno: errno ?? -22, syscall: 'bind' } };
    }
  }
}

/** A listening socket that outlives the server it was made with. */
async function hold(request: LendRequest, asked: string): Promise<{ fd: number; listener: string }> {
  const server: Server = createServer();
  const { path } = request;
  if (path !== null) server.listen({ path, backlog: request.backlog });
  else
    server.listen({
      port: request.port ?? 0,
      ...(request.host === null ? {} : { host: request.host }),
      ipv6Only: request.ipv6Only,
      backlog: request.backlog,
    });
  await once(server, 'listening');
  const address = server.address();
  const fd = native().duplicate((server as unknown as { _handle: { fd: number } })._handle.fd);
  // A server removes its path when it closes: another name for the socket becomes the path again.
  if (path !== null) linkSync(path, `${path}.held`);
  server.close();
  if (path !== null) renameSync(`${path}.held`, path);
  return { fd, listener: typeof address === 'object' && address !== null ? asked.replace(/:0$/, `:${address.port}`) : asked };
}

/** A bound socket that outlives the one it was made with. */
async function holdDatagrams(request: LendRequest, asked: string): Promise<{ fd: number; listener: string }> {
  const { host, port, ipv6Only, datagram } = request;
  const socket = createSocket({ type: host?.includes(':') === true ? 'udp6' : 'udp4', ipv6Only, reuseAddr: datagram?.reuseAddr === true });
  socket.bind({ port: port ?? 0, address: host ?? '', exclusive: true });
  await once(socket, 'listening');
  const state = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol')!;
  const fd = native().duplicate((socket as unknown as Record<symbol, { handle: { fd: number } }>)[state]!.handle.fd);
  const listener = asked.replace(/:0$/, `:${socket.address().port}`);
  socket.close();
  return { fd, listener };
}

export class Worker extends EventEmitter {
  readonly process: ChildProcess;
  readonly messages: WorkerMessage[] = [];
  readonly #channel: Socket;
  readonly #handoff: PacketSocket;
  readonly #ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly #lend: (request: LendRequest) => Promise<Answer>;
  stdout = '';
  stderr = '';

  constructor(script: string, options: WorkerOptions, lend: (request: LendRequest) => Promise<Answer>) {
    super();
    this.setMaxListeners(0);
    this.#lend = lend;
    const [channel, channelTheirs] = native().socketPair('stream');
    const [handoff, handoffTheirs] = native().socketPair('seqpacket');
    this.#channel = new Socket({ fd: channel, readable: true, writable: true });
    this.#handoff = new (native().PacketSocket)(handoff);
    this.#listen();
    this.process = this.#spawn(script, options, channelTheirs, handoffTheirs);
    native().closeFd(channelTheirs);
    native().closeFd(handoffTheirs);
    this.process.stdout?.on('data', (chunk: Buffer) => ((this.stdout += chunk.toString()), this.emit('change')));
    this.process.stderr?.on('data', (chunk: Buffer) => ((this.stderr += chunk.toString()), this.emit('change')));
    this.#ended = new Promise((resolve) => this.process.once('close', (code, signal) => resolve({ code, signal })));
    void this.#ended.then(() => this.#closeWires());
  }

  send(message: SupervisorMessage): void {
    this.#channel.write(`${JSON.stringify(message)}\n`);
  }

  drain(order: Partial<SupervisorMessage & { t: 'drain' }> = {}): void {
    this.send({ t: 'drain', deadlineMs: 20_000, idleGraceMs: null, handOver: false, stopAccepting: [], ...order });
  }

  sendPeer(notice: PeerNotice | StandInNotice, ...fds: readonly number[]): void {
    this.#handoff.send(JSON.stringify(notice), fds);
  }

  /** The next or an earlier message of that kind that fits. */
  async until<T extends WorkerMessage['t']>(
    t: T,
    fits: (message: WorkerMessage & { t: T }) => boolean = () => true,
  ): Promise<WorkerMessage & { t: T }> {
    const find = () =>
      this.messages.find((message): message is WorkerMessage & { t: T } => message.t === t && fits(message as WorkerMessage & { t: T }));
    return this.#wait(`a message ${t}`, find);
  }

  /** A line of stdout that matches, as its match. */
  line(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#wait(`a line ${String(pattern)}`, () => pattern.exec(this.stdout) ?? undefined);
  }

  /** The port of its n-th listener, once it listens. */
  async port(nth = 0): Promise<number> {
    const listening = await this.#wait('a listening message', () => this.messages.filter((message) => message.t === 'listening')[nth]);
    return Number(/:(\d+)$/.exec((listening as { listener: string }).listener)?.[1]);
  }

  get ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    return within(this.#ended, 'the end of the worker');
  }

  async kill(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill('SIGKILL');
    await this.#ended;
  }

  #spawn(script: string, options: WorkerOptions, channel: number, handoff: number): ChildProcess {
    const {
      mode = 'fork',
      lend = true,
      slot = 0,
      generation = 1,
      args = [],
      nodeArgs = [],
      env = {},
      preload: how = 'argv',
      preloadFile = preload,
    } = options;
    const boot: WorkerBoot = { v: 1, app: 'test', slot, generation, channel: 3, handoff: 4, mode, lend };
    const contract = { NODE_APP_INSTANCE: String(slot), COVET_APP: 'test', COVET_SLOT: String(slot), COVET_GENERATION: String(generation) };
    const own = how === 'none' ? {} : { ...contract, COVET_BOOT: JSON.stringify(boot) };
    const optionsEnv = how === 'options' ? { NODE_OPTIONS: `--require ${preloadFile}` } : {};
    // exec keeps the pid, as covet-exec does.
    const shell = options.shell ?? (how === 'none' ? 'exec "$@"' : 'COVET_WORKER=$$ exec "$@"');
    return spawn(
      '/bin/sh',
      ['-c', shell, 'sh', node, ...(how === 'argv' ? ['--require', preloadFile] : []), ...nodeArgs, script, ...args],
      {
        stdio: ['ignore', 'pipe', 'pipe', channel, handoff],
        env: { PATH: process.env['PATH'] ?? '', NODE: node, ...own, ...optionsEnv, ...env },
      },
    );
  }

  #listen(): void {
    const splitter = new LineSplitter(CHANNEL_LINE_BYTES_MAX);
    this.#channel.on('data', (chunk: Buffer) => {
      for (const line of splitter.push(chunk)) this.messages.push(JSON.parse(line) as WorkerMessage);
      this.emit('change');
    });
    this.#channel.on('error', () => {});
    this.#handoff.start(
      (text, fds) => void this.#answer(JSON.parse(text) as LendRequest, fds),
      () => {},
    );
  }

  async #answer(request: LendRequest, fds: readonly number[]): Promise<void> {
    const socket = new (native().PacketSocket)(fds[0] ?? -1);
    const answer = await this.#lend(request);
    if (answer === 'hang') return void this.#ended.then(() => socket.close());
    if (answer !== 'drop') socket.send(JSON.stringify(answer.reply), answer.fd === undefined ? [] : [answer.fd]);
    socket.close();
  }

  #closeWires(): void {
    this.#channel.destroy();
    this.#handoff.close();
  }

  async #wait<T>(what: string, find: () => T | undefined): Promise<T> {
    const found = find();
    if (found !== undefined) return found;
    return within(
      new Promise<T>((resolve, reject) => {
        const look = () => {
          const value = find();
          if (value !== undefined) resolve(value);
          else return;
          this.off('change', look);
        };
        this.on('change', look);
        void this.#ended.then((end) => {
          look();
          reject(new Error(`Expected ${what}, the worker ended with ${JSON.stringify(end)}; it said:\n${this.stdout}${this.stderr}`));
        });
      }),
      `${what}; the worker said:\n${this.stdout}${this.stderr}${JSON.stringify(this.messages)}`,
    );
  }
}

/** Rejects when the promise takes longer than the deadline of everything here. */
export async function within<T>(promise: Promise<T>, what: string, ms = DEADLINE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error(`Expected ${what} within ${ms} ms`)), ms)));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
