/**
 * Drives the real covet-init over a real SEQPACKET pair, for test/native/: embedded (this process is the supervisor) or with
 * fixtures/relay-supervisor.cjs as the supervisor it starts. Every wait has a deadline and waits for an event.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { binary, native, packageRoot } from '../../native/index.ts';
import { decodeInitPacket, encodeInitPacket } from '../../supervisor/protocol/init-wire.ts';

export const DEADLINE_MS = 60_000; // on a machine that does much else at once
const SANITIZED = process.env['COVET_TEST_SANITIZE'] === '1';

export interface Heard {
  readonly verb: string;
  readonly id: number;
  readonly fields: Readonly<Record<string, string>>;
  readonly fds: readonly number[];
}

/** The binaries under test: the sanitizer build's with COVET_TEST_SANITIZE=1. */
export function tested(name: 'covet-init' | 'covet-exec'): string {
  const path = binary(name);
  return SANITIZED ? path.replace('/prebuilds/', '/prebuilds-sanitize/') : path;
}

export const isSanitized = SANITIZED;

/** What was said on a wire, in order, and who waits for what. */
export class Conversation {
  readonly #heard: Heard[] = [];
  readonly #waiting = new Set<() => void>();
  #lastId = 0;
  readonly #say: (text: string) => void;
  /** Descriptors that arrived and are still this process's to close. */
  readonly held = new Set<number>();
  ended = false;

  constructor(say: (text: string) => void) {
    this.#say = say;
  }

  hear(text: string, fds: readonly number[]): void {
    this.#heard.push({ ...decodeInitPacket(text), fds });
    for (const look of this.#waiting) look();
  }

  end(): void {
    this.ended = true;
    for (const look of this.#waiting) look();
  }

  close(...fds: readonly (number | undefined)[]): void {
    for (const fd of fds) if (fd !== undefined && this.held.delete(fd)) native().closeFd(fd);
  }

  say(text: string): void {
    this.#say(text);
  }

  tell(verb: string, fields: Record<string, string | number> = {}): number {
    const id = ++this.#lastId;
    this.#say(
      encodeInitPacket({ verb, id, fields: Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, String(value)])) }),
    );
    return id;
  }

  async request(verb: string, fields: Record<string, string | number> = {}): Promise<Heard> {
    const id = this.tell(verb, fields);
    return await this.take((heard) => heard.id === id, `the reply to ${verb}`);
  }

  /** Everything a hello is answered with, its `end` left out. */
  async hello(): Promise<Heard[]> {
    const id = this.tell('hello', { min: 1, max: 1 });
    const all: Heard[] = [];
    for (;;) {
      const next = await this.take((heard) => heard.id === id || heard.verb === 'failed', 'the end of hello');
      if (next.verb === 'end') return all;
      all.push(next);
    }
  }

  async event(verb: string, key?: string): Promise<Heard> {
    return await this.take(
      (heard) => heard.id === 0 && heard.verb === verb && (key === undefined || heard.fields['key'] === key),
      `${verb} ${key ?? ''}`,
    );
  }

  has(verb: string): boolean {
    return this.#heard.some((heard) => heard.verb === verb);
  }

  async take(wanted: (heard: Heard) => boolean, what: string): Promise<Heard> {
    return await new Promise((resolve, reject) => {
      const done = (): void => {
        this.#waiting.delete(look);
        clearTimeout(timer);
      };
      const look = (): void => {
        const at = this.#heard.findIndex(wanted);
        if (at < 0 && !this.ended) return;
        done();
        if (at < 0) reject(new Error(`Expected ${what}, the wire ended`));
        else resolve(this.#heard.splice(at, 1)[0]!);
      };
      const timer = setTimeout(() => (done(), reject(new Error(`Expected ${what} within ${DEADLINE_MS} ms`))), DEADLINE_MS);
      this.#waiting.add(look);
      look();
    });
  }
}

export interface Embedded {
  readonly wire: Conversation;
  readonly child: ChildProcess;
  readonly exit: Promise<{ code: number | null; signal: string | null }>;
  /** The embedding program is gone. */
  hangUp(): void;
}

/** covet-init as this process's child; `prefix` runs it as someone else. */
export function startEmbedded(t: TestContext, { prefix = [] as readonly string[], args = [] as readonly string[] } = {}): Embedded {
  const [ours, theirs] = native().socketPair('seqpacket');
  const [file = '', ...rest] = [...prefix, tested('covet-init'), '--supervisor-fd', '3', ...args];
  const child = spawn(file, rest, { stdio: ['ignore', 'inherit', 'inherit', theirs] });
  native().closeFd(theirs);
  const socket = new (native().PacketSocket)(ours);
  const wire = new Conversation((text) => socket.send(text));
  socket.start(
    (text, fds) => {
      for (const fd of fds) wire.held.add(fd);
      wire.hear(text, fds);
    },
    () => wire.end(),
  );
  let isOpen = true;
  const hangUp = (): void => {
    if (isOpen) socket.close();
    isOpen = false;
  };
  const exit = exitOf(child);
  t.after(async () => {
    hangUp();
    wire.close(...wire.held);
    await exit;
  });
  return { wire, child, exit, hangUp };
}

export interface Relay {
  readonly wire: Conversation;
  readonly pid: number;
  /** Has it spawn covet-exec for the last `worker` reply. */
  spawn(...args: string[]): void;
}

export interface Daemon {
  readonly child: ChildProcess;
  readonly exit: Promise<{ code: number | null; signal: string | null }>;
  readonly folder: string;
  /** The next supervisor that was started. */
  supervisor(): Promise<Relay>;
  /** The one line on --ready-fd. */
  readonly ready: Promise<string>;
  /** Resolves when stderr holds what matches. */
  said(pattern: RegExp): Promise<void>;
}

/**
 * covet-init with a supervisor of its own. `program` replaces the relay; with a `state` it takes over, and nobody waits for it: the state may name
 * the descriptors `inherited`, from 5 on.
 */
export async function startDaemon(
  t: TestContext,
  {
    args = [] as readonly string[],
    program = null as readonly string[] | null,
    folder = temporaryFolder(t),
    state = null as string | null,
    inherited = [] as readonly number[],
  } = {},
): Promise<Daemon> {
  const path = join(folder, 'relay.sock');
  const arrivals: Relay[] = [];
  const server = createServer((socket) => arrivals.push(relay(socket)) && server.emit('arrived'));
  if (!existsSync(path)) await once(server.listen(path), 'listening');
  const order = program ?? [
    process.execPath,
    join(packageRoot(), 'test/native/fixtures/relay-supervisor.cjs'),
    path,
    binary('covet.node'),
    tested('covet-exec'),
  ];
  const stdio: StdioOptions = ['ignore', 'pipe', 'pipe', 'pipe'];
  const begins = ['--ready-fd', '3'];
  if (state !== null) {
    const file = join(folder, 'state');
    writeFileSync(file, state);
    begins.splice(0, 2, '--state', String(stdio.push(openSync(file, 'r')) - 1));
  }
  stdio.push(...inherited);
  const child = spawn(tested('covet-init'), [...begins, '--lock', join(folder, 'lock'), ...args, '--', ...order], { stdio });
  const exit = exitOf(child);
  t.after(async () => {
    child.kill('SIGKILL');
    await exit;
    await closeServer(server);
  });
  return {
    child,
    exit,
    folder,
    ready: textOf(child.stdio[3] as Socket),
    said: saidOn(child.stderr as Socket),
    supervisor: async () => {
      while (arrivals[0] === undefined) await once(server, 'arrived', { signal: AbortSignal.timeout(DEADLINE_MS) });
      const next = arrivals.shift()!;
      await next.wire.take((heard) => heard.verb === 'relay', 'the relay');
      return next;
    },
  };
}

function relay(socket: Socket): Relay {
  const send = (order: unknown): void => void socket.write(`${JSON.stringify(order)}\n`);
  const wire = new Conversation((text) => send({ say: text }));
  const self = { wire, pid: 0, spawn: (...args: string[]) => send({ spawn: args }) };
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const { pid, text, fds } = JSON.parse(line) as { pid?: number; text?: string; fds?: number };
      if (pid !== undefined) self.pid = pid;
      wire.hear(
        text ?? 'relay 0',
        Array.from({ length: fds ?? 0 }, (_, i) => i),
      );
    }
  });
  socket.on('error', () => {});
  socket.on('close', () => wire.end());
  return self;
}

/** covet-exec with the report pipe at 3, where a worker with no more than its standard descriptors has it. */
export function spawnExec(args: readonly string[], out: number, err: number, report: number): ChildProcess {
  return spawn(tested('covet-exec'), ['--report', '3', '--keep-max', '2', ...args], { stdio: ['ignore', out, err, report] });
}

/** A worker made on an embedded wire and spawned by covet-exec, as the supervisor does it. */
export async function startWorker(
  wire: Conversation,
  key: string,
  program: readonly string[],
  options: readonly string[] = [],
): Promise<Heard> {
  const made = await wire.request('worker', { key, out: '/dev/null', err: '/dev/null' });
  assert.equal(made.verb, 'worker', JSON.stringify(made.fields));
  assert.equal(made.fds.length, 9);
  const [, , , , , outWrite, , errWrite, report] = made.fds as number[];
  const started = exitOf(spawnExec([...options, '--', ...program], outWrite!, errWrite!, report!));
  wire.close(...[1, 3, 5, 7, 8].map((at) => made.fds[at]));
  await started;
  return made;
}

export async function exitOf(child: ChildProcess): Promise<{ code: number | null; signal: string | null }> {
  const [code, signal] = (await once(child, 'exit', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [number | null, string | null];
  return { code, signal };
}

export async function textOf(stream: Socket): Promise<string> {
  let text = '';
  stream.setEncoding('utf8');
  for await (const chunk of stream) text += chunk as string;
  return text;
}

function saidOn(stream: Socket): (pattern: RegExp) => Promise<void> {
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return async (pattern) => {
    while (!pattern.test(text)) await once(stream, 'data', { signal: AbortSignal.timeout(DEADLINE_MS) });
  };
}

export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'covet-native-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function status(pid: number | string): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, 'utf8').trim().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(':\t') as [string, string]));
}

export function descriptors(pid: number | string): number[] {
  return readdirSync(`/proc/${pid}/fd`)
    .map(Number)
    .sort((a, b) => a - b);
}

/** Gone, or a zombie that its parent has yet to reap. */
export function isRunning(pid: number | string): boolean {
  try {
    return !status(pid)['State']?.startsWith('Z');
  } catch {
    return false;
  }
}

/** Resolves when the process has ended, whoever its parent is. Node has no event for that: looked at once a turn of the loop. */
export async function ended(pid: number | string): Promise<void> {
  const until = Date.now() + DEADLINE_MS;
  while (isRunning(pid)) {
    assert.ok(Date.now() < until, `Expected process ${pid} to end`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  server.close();
  await once(server, 'close');
}
