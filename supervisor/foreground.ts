/**
 * `covet-pm run`: one app in the foreground. Its logs go to stdout and stderr; SIGTERM or SIGINT drains it; a second one ends it at once;
 * when it ends by itself, so does this, with its exit code (128 + the signal's number; 125 when covet-pm itself failed). A single worker
 * that exits with 0 before it was up is a job that is done, and is not run again.
 */
import { constants } from 'node:os';
import type { CovetEvent } from './protocol/events.ts';
import { tellEnds } from './foreground-words.ts';
import { appLine, ownLine } from './own-words.ts';
import { startApp } from './operations/start.ts';
import { Outlet } from './outlet.ts';
import { EXIT } from './protocol/errors.ts';
import type { OperationParsed } from './protocol/operations.ts';
import type { SupervisorCore } from './supervisor.ts';

type WorkerEnded = Extract<CovetEvent, { type: 'worker.exited' }>;

/** Resolves with the exit code. `text` is COVET_RUN: a start operation's input as JSON. */
export function runForeground(core: SupervisorCore, text: string): Promise<number> {
  return new Foreground(core, JSON.parse(text) as OperationParsed<'start'>).run();
}

class Foreground {
  readonly #core: SupervisorCore;
  readonly #input: OperationParsed<'start'>;
  readonly #name: string;
  readonly #outlets: { readonly out: Outlet; readonly err: Outlet };
  /** Whoever runs this has had every word about the ends so far. */
  readonly #toldEnds: () => Promise<void>;
  /** The last that nobody asked for. */
  #lastEnd: WorkerEnded | null = null;
  #wasSignalled = false;
  #isJobDone = false;
  #hasReader = true;

  constructor(core: SupervisorCore, input: OperationParsed<'start'>) {
    this.#core = core;
    this.#input = input;
    this.#name = input.config.name;
    const tell = (words: string): void => this.#tell(words);
    const onGone = (): void => this.#readerGone();
    this.#outlets = { out: new Outlet('stdout', process.stdout, tell, onGone), err: new Outlet('stderr', process.stderr, tell, onGone) };
    core.events.on('event', (event) => event.type === 'worker.exited' && !event.expected && this.#workerEnded(event));
    this.#toldEnds = tellEnds(core, this.#name, (words) => this.#isJobDone || this.#outlets.err.line(this.#ownLine(words)));
    this.#followLogs();
    core.init.onSignal((name) => this.#signalled(name));
  }

  async run(): Promise<number> {
    const ended = this.#ended();
    try {
      await startApp({ core: this.#core, progress: () => {} }, this.#input);
    } catch (error) {
      // What the app said last comes before what is said of it.
      await this.#tellAll();
      if (!this.#wasSignalled && !this.#isJobDone) this.#tell((error as Error).message);
    }
    // An app at rest says no more: its end is told already, or it never was started.
    if ((this.#core.apps.get(this.#name)?.plan.phase ?? 'stopped') !== 'stopped') await ended;
    await this.#tellAll();
    await Promise.all([this.#outlets.out.end(), this.#outlets.err.end()]);
    if (!this.#hasReader) return 128 + constants.signals.SIGPIPE;
    return this.#wasSignalled ? EXIT.done : exitCode(this.#lastEnd);
  }

  #workerEnded(event: WorkerEnded): void {
    this.#lastEnd = event;
    const app = this.#core.apps.get(this.#name);
    if (this.#isJobDone || event.code !== 0 || app?.plan.phase !== 'starting' || app.wanted !== 1) return;
    this.#isJobDone = true;
    // Once its end is dealt with as any other.
    queueMicrotask(() => void this.#core.stopAll('its work is done'));
  }

  /** From the first worker's first state on: its log files are open by then, and nothing is in them yet. */
  #followLogs(): void {
    const { events, logs, env } = this.#core;
    const begin = (event: CovetEvent): void => {
      if (event.type !== 'slot.changed' || event.app !== this.#name) return;
      events.off('event', begin);
      logs.follow(this.#name, ['out', 'err'], ({ stream, line }) => this.#outlets[stream].line(appLine(env, this.#name, stream, line)));
    };
    events.on('event', begin);
  }

  #signalled(name: string): void {
    const core = this.#core;
    if (name === 'SIGHUP') return core.lookAround();
    void core.stopAll(`${name} was sent`, { hasLameDucks: true });
    if (this.#wasSignalled)
      for (const app of core.apps.values()) for (const generation of app.generations.values()) generation.kill(`a second ${name}`);
    this.#wasSignalled = true;
  }

  /** As a program that SIGPIPE ends: `run app.js | head` is over when head is. Its app drains first. */
  #readerGone(): void {
    this.#hasReader = false;
    void this.#core.stopAll('nobody reads its output any more');
  }

  #ended(): Promise<void> {
    return new Promise((resolve) =>
      this.#core.events.on('event', (event) => {
        if (event.type === 'app.changed' && event.app === this.#name && (event.to === 'failed' || event.to === 'stopped')) resolve();
      }),
    );
  }

  async #tellAll(): Promise<void> {
    await this.#core.logs.tellAll(this.#name);
    await this.#toldEnds();
  }

  #tell(words: string): void {
    process.stderr.write(`${this.#ownLine(words)}\n`);
  }

  #ownLine(words: string): string {
    return ownLine(this.#core.env, words, this.#name);
  }
}

function exitCode(end: { readonly code: number | null; readonly signal: string | null } | null): number {
  if (end === null) return EXIT.runFailed;
  return end.code ?? 128 + signalNumber(end.signal);
}

function signalNumber(name: string | null): number {
  return (constants.signals as Readonly<Record<string, number>>)[name ?? ''] ?? 0;
}
