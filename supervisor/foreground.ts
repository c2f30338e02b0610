/**
 * `covet-pm run`: one app in the foreground. Its logs go to stdout and stderr; SIGTERM or SIGINT drains it; a second one ends it at once;
 * when it ends by itself, so does this, with its exit code (128 + the signal's number; 125 when covet-pm itself failed). A single worker
 * that exits with 0 before it was up is a job that is done, and is not run again.
 */
import { constants } from 'node:os';
import { tellEnds } from './foreground-words.ts';
import { appLine, ownLine } from './own-words.ts';
import { startApp } from './operations/start.ts';
import { Outlet } from './outlet.ts';
import { EXIT } from './protocol/errors.ts';
import type { OperationParsed } from './protocol/operations.ts';
import type { SupervisorCore } from './supervisor.ts';

/** Resolves with the exit code. `text` is COVET_RUN: a start operation's input as JSON. */
export async function runForeground(core: SupervisorCore, text: string): Promise<number> {
  const { config, env } = JSON.parse(text) as OperationParsed<'start'>;
  let lastEnd: { code: number | null; signal: string | null } | null = null;
  let wasSignalled = false;
  let isDone = false;
  core.events.on('event', (event) => {
    if (event.type !== 'worker.exited' || event.expected) return;
    lastEnd = event;
    const app = core.apps.get(config.name);
    if (isDone || event.code !== 0 || app?.plan.phase !== 'starting' || app.wanted !== 1) return;
    isDone = true;
    // Once its end is dealt with as any other.
    queueMicrotask(() => void core.stopAll('its work is done'));
  });
  const { env: host } = core;
  const tell = (words: string): void => void process.stderr.write(`${ownLine(host, words, config.name)}\n`);
  // As a program that SIGPIPE ends: `run app.js | head` is over when head is. Its app drains first.
  let hasReader = true;
  const onGone = (): void => {
    hasReader = false;
    void core.stopAll('nobody reads its output any more');
  };
  const outlets = { out: new Outlet('stdout', process.stdout, tell, onGone), err: new Outlet('stderr', process.stderr, tell, onGone) };
  const told = tellEnds(core, config.name, (words) => isDone || outlets.err.line(ownLine(host, words, config.name)));
  // Its log files are open by then, and nothing is in them yet: a worker's first state comes before its first word.
  let isFollowed = false;
  core.events.on('event', (event) => {
    if (isFollowed || event.type !== 'slot.changed' || event.app !== config.name) return;
    isFollowed = true;
    core.logs.follow(config.name, ['out', 'err'], ({ stream, line }) => outlets[stream].line(appLine(host, config.name, stream, line)));
  });
  const ended = new Promise<void>((resolve) => {
    core.events.on(
      'event',
      (event) =>
        event.type === 'app.changed' && event.app === config.name && (event.to === 'failed' || event.to === 'stopped') && resolve(),
    );
  });
  core.init.onSignal((name) => {
    if (name === 'SIGHUP') return core.lookAround();
    void core.stopAll(`${name} was sent`, { hasLameDucks: true });
    if (wasSignalled)
      for (const app of core.apps.values()) for (const generation of app.generations.values()) generation.kill(`a second ${name}`);
    wasSignalled = true;
  });
  try {
    await startApp({ core, progress: () => {} }, { config, env });
  } catch (error) {
    // What the app said last comes before what is said of it.
    await core.logs.tellAll(config.name);
    await told();
    if (!wasSignalled && !isDone) tell((error as Error).message);
  }
  // An app at rest says no more: its end is told already, or it never was started.
  if ((core.apps.get(config.name)?.plan.phase ?? 'stopped') !== 'stopped') await ended;
  await core.logs.tellAll(config.name);
  await told();
  await Promise.all([outlets.out.end(), outlets.err.end()]);
  if (!hasReader) return 128 + constants.signals.SIGPIPE;
  return wasSignalled ? EXIT.done : exitCode(lastEnd);
}

function exitCode(end: { code: number | null; signal: string | null } | null): number {
  if (end === null) return EXIT.runFailed;
  return end.code ?? 128 + signalNumber(end.signal);
}

function signalNumber(name: string | null): number {
  return (constants.signals as Readonly<Record<string, number>>)[name ?? ''] ?? 0;
}
