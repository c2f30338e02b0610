/**
 * A supervisor of a test's own: a fresh COVET_HOME, reached through the real command line (dist/covet-pm.cjs). `end()` asks it to
 * go and then looks for what it left: a process, a zombie, a socket file. Anything left fails the test and is ended here.
 *
 * Works as root and as any other user; nothing outside its folder is touched.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { connect, type Client } from '../../dashboard/client.ts';
import type { AppInput } from '../../supervisor/protocol/config.ts';
import type { AppView, OperationName, OperationResults } from '../../supervisor/protocol/operations.ts';
import { Disk } from './disk.ts';
import { EventLog } from './event-log.ts';
import { eventually } from './eventually.ts';
import { MARK, type ProcessInfo, processesOf, zombiesOf } from './processes.ts';
import { repositoryRoot } from './root.ts';

/** A command that takes longer hangs; reloads of slow apps take seconds. */
const COMMAND_MS = 120_000;

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What was printed, read as the JSON answer of that operation. */
  as<N extends OperationName>(operation: N): OperationResults[N];
}

export interface HomeOptions {
  /** Set for the supervisor and every command. */
  readonly env?: Readonly<Record<string, string>>;
  /** Runs the command line, `taskset -c 0` for one. */
  readonly prefix?: readonly string[];
  /** The home gets a disk of its own, of so many bytes, where one can be mounted. */
  readonly diskBytes?: number;
}

/** An app's config as a test writes it: the CLI fills in the folder. */
export type TestApp = Omit<AppInput, 'cwd' | 'name'> & { readonly cwd?: string; readonly name?: string };

/** Short limits: the promises do not depend on how long they are, only the tests' time does. */
export const SHORT = { minHealthyMs: 150, readyTimeoutMs: 20_000, drainTimeoutMs: 20_000, killTimeoutMs: 3_000 } as const;

export class Home {
  readonly path: string;
  /** For releases, sockets and whatever else a test needs; goes with the home. */
  readonly work: string;
  readonly disk: Disk | null;
  readonly #root: string;
  readonly #options: HomeOptions;
  readonly #clients: Client[] = [];
  readonly #seen = new Set<number>();
  #configs = 0;

  /** Ends with the test, which fails when something is left. */
  static open(t: TestContext, options: HomeOptions = {}): Home {
    const home = new Home(options);
    t.after(async () => home.end());
    return home;
  }

  constructor(options: HomeOptions = {}) {
    this.#options = options;
    this.#root = mkdtempSync(join(tmpdir(), 'cv-'));
    this.path = join(this.#root, 'h');
    this.work = join(this.#root, 'w');
    mkdirSync(this.work);
    this.disk = options.diskBytes === undefined ? null : Disk.mount(this.path, options.diskBytes);
  }

  /** The environment of every command: the test's own less what would lead elsewhere. */
  get env(): Record<string, string> {
    const inherited = Object.entries(process.env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && !/^(COVET_|NODE_TEST|NODE_OPTIONS|PORT$|BUILD$)/.test(entry[0]),
    );
    return { ...Object.fromEntries(inherited), COVET_HOME: this.path, [MARK]: this.path, NO_COLOR: '1', ...this.#options.env };
  }

  /** Starts the command and leaves it to the caller. */
  spawn(args: readonly string[], options: { cwd?: string; env?: Readonly<Record<string, string>> } = {}): ChildProcess {
    const [program = '', ...rest] = [
      ...(this.#options.prefix ?? []),
      process.execPath,
      join(repositoryRoot(), 'dist/covet-pm.cjs'),
      ...args,
    ];
    return spawn(program, rest, { cwd: options.cwd ?? this.work, env: { ...this.env, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** Runs a command to its end. */
  async covet(...args: string[]): Promise<CommandResult> {
    return resultOf(this.spawn(args), `covet-pm ${args.join(' ')}`);
  }

  /** Starts an app through the command line, from a config file. Throws what the command said when it fails. */
  async start(app: TestApp): Promise<AppView> {
    const result = await this.tryStart(app);
    if (result.code !== 0)
      throw new Error(`Expected the app to start, got exit ${result.code}: ${result.stderr}${result.stdout}\n${this.log()}`);
    return result.as('start').app;
  }

  async tryStart(app: TestApp): Promise<CommandResult> {
    const file = join(this.#root, `app-${++this.#configs}.json`);
    writeFileSync(file, JSON.stringify({ cwd: this.work, name: 'web', ...app }));
    return this.covet('start', '--config', file, '--json');
  }

  /** The typed client of this home's supervisor. */
  async client(): Promise<Client> {
    const client = await connect({ home: this.path });
    this.#clients.push(client);
    return client;
  }

  async events(): Promise<EventLog> {
    return new EventLog(await this.client());
  }

  async list(): Promise<OperationResults['list']> {
    const result = await this.covet('list', '--json');
    if (result.code !== 0) throw new Error(`Expected list to work, got exit ${result.code}: ${result.stderr}${result.stdout}`);
    return result.as('list');
  }

  async app(name = 'web'): Promise<AppView> {
    const found = (await this.list()).apps.find((app) => app.name === name);
    if (found === undefined) throw new Error(`Expected an app ${name}`);
    return found;
  }

  /** Pids of an app's workers, in the order of their slots. */
  async pids(name = 'web'): Promise<number[]> {
    return (await this.app(name)).workers.filter((worker) => worker.pid !== 0).map((worker) => worker.pid);
  }

  /** Where what an app writes ends up. */
  logFile(stream: 'out' | 'err', name = 'web'): string {
    return join(this.path, 'logs', `${name}-${stream}.log`);
  }

  processes(): ProcessInfo[] {
    const found = processesOf(this.path);
    for (const { pid } of found) this.#seen.add(pid);
    return found;
  }

  /** The supervisor's own log, for messages of failing tests. */
  log(): string {
    const path = join(this.path, 'logs/supervisor.log');
    return existsSync(path) ? `supervisor.log:\n${readFileSync(path, 'utf8').split('\n').slice(-30).join('\n')}` : 'no supervisor.log';
  }

  /** The last events in words, for messages of failing tests. */
  async history(last = 60): Promise<string> {
    return (await this.covet('events', '--last', String(last))).stdout;
  }

  /** Asks the supervisor to go, and fails when anything of it is left after. */
  async end(): Promise<void> {
    this.processes();
    try {
      const killed = existsSync(this.path) ? await this.covet('kill') : null;
      for (const client of this.#clients) client.close();
      await this.assertNothingLeft();
      if (killed !== null && killed.code !== 0)
        throw new Error(`Expected kill to exit 0, got ${killed.code}: ${killed.stderr}\n${this.log()}`);
    } finally {
      for (const client of this.#clients) client.close();
      for (const { pid } of this.processes()) end(pid);
      this.disk?.unmount();
      rmSync(this.#root, { recursive: true, force: true });
    }
  }

  /** No process, no zombie, no socket file. */
  async assertNothingLeft(): Promise<void> {
    let left: string[] = [];
    const look = (): boolean => {
      left = [
        ...this.processes().map(({ pid, ppid, state, command }) => `process ${pid} (parent ${ppid}, ${state}): ${command}`),
        ...zombiesOf(this.#seen).map(({ pid, ppid }) => `zombie ${pid} of ${ppid}`),
        ...[this.path, this.work].flatMap(socketsIn).map((path) => `socket ${path}`),
      ];
      return left.length === 0;
    };
    await eventually('nothing to be left', look).catch((error: unknown) => {
      throw new Error(`Something is left:\n${left.join('\n')}\n${this.log()}`, { cause: error });
    });
  }
}

/** Collects what a command prints until it ends; a command that hangs is killed and said to have hung. */
export async function resultOf(child: ChildProcess, what: string, deadlineMs = COMMAND_MS): Promise<CommandResult> {
  let stdout = '';
  let stderr = '';
  let hung = false;
  child.stdout?.on('data', (piece: Buffer) => (stdout += piece.toString()));
  child.stderr?.on('data', (piece: Buffer) => (stderr += piece.toString()));
  const timer = setTimeout(() => {
    hung = true;
    child.kill('SIGKILL');
  }, deadlineMs);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  clearTimeout(timer);
  if (hung) throw new Error(`Expected \`${what}\` to end within ${deadlineMs} ms; it had said: ${stdout}${stderr}`);
  return {
    code,
    stdout,
    stderr,
    as: <N extends OperationName>(_operation: N) => {
      try {
        return JSON.parse(stdout) as OperationResults[N];
      } catch (error) {
        throw new Error(
          `Expected JSON from \`${what}\` (exit ${code}), got ${JSON.stringify(stdout.slice(0, 500))}, stderr ${JSON.stringify(stderr.slice(0, 500))}`,
          { cause: error },
        );
      }
    },
  };
}

function socketsIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true, recursive: true }).flatMap((entry) =>
    entry.isSocket() ? join(entry.parentPath, entry.name) : [],
  );
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it ended meanwhile
  }
}
