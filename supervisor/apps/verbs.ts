/**
 * What an operator can ask of an app: each verb puts what is wanted on disk, puts an event to the plan, and waits for the plan's answer.
 */
import type { Timer } from '../env.ts';
import { maxInstances } from '../host/pin-policy.ts';
import { readCpuGrant } from '../host/cpu-grant.ts';
import type { Half } from '../listeners/listener.ts';
import type { LogMark } from '../logs/log-store.ts';
import { withoutLabels } from '../own-words.ts';
import { CovetError, type ErrorCode, type ErrorDetails } from '../protocol/errors.ts';
import type { AppRecord, GenerationRecord } from '../state/wanted.ts';
import { PlanRefusal } from './answers.ts';
import type { App } from './app.ts';
import { NOTHING_YET, type Outcome } from './app-deps.ts';
import { Generation } from './generation.ts';
import { resolveLaunch } from './launch.ts';
import type { Verdict } from './plan-machine.ts';
import { doing } from './status.ts';

/** Lines of stderr looked through for what a failing app said. */
const LAST_WORDS = 200;

export interface ReloadOutcome extends Outcome {
  readonly generation: number;
  readonly durationMs: number;
  readonly mode: 'overlap' | 'replace';
}

/** Runs what the record says; resolves when all of it is up. Throws COVET_ERR_APP_FAILED, COVET_ERR_APP_PROBE, COVET_ERR_APP_BUSY, COVET_ERR_STATE_WRITE, those of resolveLaunch. */
export async function start(app: App): Promise<void> {
  if (app.isPreparing || app.plan.phase !== 'stopped') require(app, 'refused', 'start');
  const { stops } = app;
  const { config, env } = app.record;
  const change = ({ lastGeneration }: AppRecord): Partial<AppRecord> => ({ isWanted: true, config, env, live: lastGeneration + 1 });
  const generation = await prepare(app, { change, half: 0, env });
  if (app.stops !== stops) return endPrepared(app);
  const started = app.answers.next('start');
  app.generations.set(generation.number, generation);
  require(app, app.dispatch({ type: 'start', generation: generation.number }), 'start');
  await started.catch((error: unknown) => failedAs(app, error, 'COVET_ERR_APP_FAILED', {}, generation.logMark));
}

/** A stop came before the plan knew of the start: nothing of it stays. */
async function endPrepared(app: App): Promise<never> {
  await app.deps.registry.end(app.name, 'closed');
  app.deps.registry.forget(app.name);
  if (!app.isForgotten) await app.save({ isWanted: false });
  throw new CovetError('COVET_ERR_APP_FAILED', { app: app.name, reason: 'it was stopped meanwhile.' });
}

/** `env`, when given, becomes the environment. Throws COVET_ERR_RELOAD_FAILED, COVET_ERR_APP_BUSY, COVET_ERR_APP_NOT_RUNNING; then nothing changed. */
export async function reload(app: App, env: Readonly<Record<string, string>> | null): Promise<ReloadOutcome> {
  if (app.plan.phase === 'stopped')
    throw new CovetError('COVET_ERR_APP_NOT_RUNNING', { app: app.name, status: app.status, verb: 'reload' });
  if (app.isPreparing || app.plan.phase !== 'running') require(app, 'refused', 'reload');
  const startedMs = app.deps.env.nowMs();
  const mode = app.reloadMode;
  const half: Half = mode === 'overlap' ? (app.live?.half === 0 ? 1 : 0) : (app.live?.half ?? 0);
  let generation = 0;
  let logMark: LogMark | undefined;
  try {
    const candidate = await prepare(app, { change: () => ({}), half, env: env ?? app.record.env });
    generation = candidate.number;
    logMark = candidate.logMark;
    app.deps.env.reach(`prepared:${generation}`);
    if (app.plan.phase !== 'running') require(app, 'refused', 'reload');
    app.outcome = NOTHING_YET;
    const answered = app.answers.next('reload');
    app.generations.set(generation, candidate);
    require(app, app.dispatch({ type: 'reload', generation }), 'reload');
    app.deps.events.announce({ type: 'reload.started', app: app.name, generation, mode });
    app.deps.env.reach(`started:${generation}`);
    await answered;
  } catch (error) {
    if (error instanceof PlanRefusal) app.deps.events.announce({ type: 'reload.failed', app: app.name, generation, reason: error.message });
    const rest = whatRuns(app, mode);
    if (rest === null) throw new CovetError('COVET_ERR_RELOAD_ENDED', { app: app.name, by: 'a stop' });
    return failedAs(app, error, 'COVET_ERR_RELOAD_FAILED', { generation, rest }, logMark);
  }
  const durationMs = Math.round(app.deps.env.nowMs() - startedMs);
  app.deps.events.announce({ type: 'reload.finished', app: app.name, generation, durationMs });
  return { ...app.outcome, generation, durationMs, mode };
}

/** After a reload that failed, as a sentence; null when the app was stopped. */
function whatRuns({ plan, name }: App, mode: ReloadOutcome['mode']): string | null {
  if (plan.phase === 'stopped' || plan.phase === 'stopping')
    return plan.failed === null ? null : `\`${name}\` itself has failed meanwhile: ${plan.failed}. \`covet-pm start ${name}\` starts it.`;
  return mode === 'overlap' ? 'The old workers serve on.' : 'The old build starts again in each slot that was given up for the new one.';
}

/** Resolves when every worker is gone. `delete` also forgets the app; `kill` leaves what is wanted as it is. */
export async function stop(app: App, kind: 'stop' | 'delete' | 'kill'): Promise<Outcome> {
  app.stops++;
  if (kind === 'stop') await app.save({ isWanted: false });
  if (kind === 'delete') {
    // The record goes last: a supervisor that dies meanwhile leaves the rest to the next one.
    await app.save({ isWanted: false, isDeleting: true });
    app.isForgotten = true;
  }
  app.resumeStop();
  if (app.plan.phase !== 'stopping') app.outcome = NOTHING_YET;
  const stopped = app.answers.next('stop');
  app.dispatch({ type: kind === 'delete' ? 'delete' : 'stop' });
  await stopped;
  await app.recordGone;
  return app.outcome;
}

/** Stop, then start with what is on disk now. What cannot be started is not stopped. */
export async function restart(app: App, env: Readonly<Record<string, string>> | null): Promise<void> {
  if (app.plan.phase !== 'stopped') require(app, app.plan.phase === 'running' ? 'done' : 'refused', 'restart');
  await resolveLaunch(app.config, app.deps.env.node);
  if (env !== null) await app.save({ env });
  if (app.plan.phase !== 'stopped') await stop(app, 'kill');
  if (app.isForgotten) throw new CovetError('COVET_ERR_APP_UNKNOWN', { app: app.name, near: ': it was deleted meanwhile' });
  await start(app);
}

/** What is wanted stays so when it fails, and is tried on. Throws COVET_ERR_APP_BUSY, COVET_ERR_APP_FAILED, COVET_ERR_CONFIG_CONFLICT. */
export async function scale(app: App, instances: number | 'max'): Promise<void> {
  if (app.config.onlyOne && instances !== 1)
    throw new CovetError('COVET_ERR_CONFIG_CONFLICT', { reason: `\`${app.name}\` is \`onlyOne\`; it cannot be scaled.` });
  if (app.plan.phase === 'stopping') require(app, 'refused', 'scale');
  const previous = app.config;
  const logMark = await app.deps.logs.mark(app.name, 'err');
  await app.save({ config: { ...previous, instances } });
  const grown = app.answers.next('start');
  if (app.dispatch({ type: 'scale' }) === 'refused') {
    await app.save({ config: previous });
    require(app, 'refused', 'scale');
  }
  // Starting or reloading: it joins, and that verb's caller hears how it went.
  if (app.plan.phase !== 'running') return;
  app.lookUp();
  const late = tellWhenLate(app);
  await grown.catch((error: unknown) => failedAs(app, error, 'COVET_ERR_APP_FAILED', {}, logMark)).finally(() => late.cancel());
}

/** A scale need not fail by crashes: who waits is told, too, when all that leaves could have left, all that comes could be steady, and it is not so. */
function tellWhenLate(app: App): Timer {
  const { readyTimeoutMs, minHealthyMs, drainTimeoutMs, killTimeoutMs } = app.config;
  const ms = drainTimeoutMs + killTimeoutMs + (app.live?.rounds ?? 1) * readyTimeoutMs + minHealthyMs;
  return app.deps.env.after(ms, () => {
    const missing = app.live?.missing(app.deps.registry.of(app.name), minHealthyMs, () => app.lookUp()) ?? 'it is not up';
    const reason = `${missing} after ${ms} ms`;
    app.degraded.crashed(reason);
    app.dispatch({ type: 'spent', reason });
  });
}

interface Preparation {
  readonly change: (record: AppRecord) => Partial<AppRecord>;
  readonly half: Half;
  readonly env: Readonly<Record<string, string>>;
}

/** The next generation: its number and what it runs, resolved, on disk before either is used. One at a time. */
async function prepare(app: App, { change, half, env: environment }: Preparation): Promise<Generation> {
  app.isPreparing = true;
  try {
    const { env, logs } = app.deps;
    const launch = await resolveLaunch(app.config, env.node);
    await app.host.prepareFolders();
    app.host.lending.lastRefusal = null;
    const logMark = await logs.mark(app.name, 'err');
    if (app.live === null) await app.host.lending.openConfigured(half);
    app.host.aim.require(launch);
    const record = await app.save((known) => {
      const number = known.lastGeneration + 1;
      const changed = { ...known, ...change(known), lastGeneration: number };
      const serving = known.generations.filter((generation) => generation.number === changed.live);
      return { ...changed, generations: [...serving, { number, half, launch, env: environment }] };
    });
    return makeGeneration(app, record.generations.at(-1)!, logMark);
  } catch (error) {
    if (app.live === null) await app.deps.registry.end(app.name, 'closed');
    throw error;
  } finally {
    app.isPreparing = false;
  }
}

/** Without its workers yet: a new one, or one that the supervisor before this one left. */
export function makeGeneration(app: App, record: GenerationRecord, logMark: LogMark): Generation {
  const { env } = app.deps;
  const startConcurrency = app.config.startConcurrency ?? maxInstances(readCpuGrant(env.native));
  return new Generation(env, app.host, { ...record, size: app.wanted, startConcurrency, logMark });
}

/** Throws COVET_ERR_APP_BUSY on a refusal. */
function require(app: App, verdict: Verdict, verb: string): void {
  if (verdict === 'refused') throw new CovetError('COVET_ERR_APP_BUSY', { app: app.name, doing: doing(app.plan), verb });
}

/** The plan's refusal as a coded error, with what the app said since `logMark`; anything else as it is. */
async function failedAs(app: App, error: unknown, code: ErrorCode, details: ErrorDetails, logMark?: LogMark): Promise<never> {
  if (!(error instanceof PlanRefusal)) throw error;
  const lines = await app.deps.logs.lastLines(app.name, 'err', LAST_WORDS, logMark);
  const words = lastWords(lines.map((line) => withoutLabels(line, app.config.logs)));
  const refusal = app.host.lending.lastRefusal === null ? '' : ` A listen() was refused: ${app.host.lending.lastRefusal}.`;
  throw new CovetError(code, {
    app: app.name,
    ...details,
    reason: `${error.message}.${refusal}${words === null ? '' : ` Its last words: ${asSentence(words)}`}`,
  });
}

/** What follows them is a sentence of ours. */
function asSentence(words: string): string {
  return /[.!?…]$/.test(words) ? words : `${words}.`;
}

/** Not said by the app: part of a stack or of an object, or Node's own closing lines. */
const NOT_ITS_OWN = /^\s+(at |\w+: )|^Node\.js v|^\(Use `.*--trace-/;

/** The line that says what went wrong: the last that names an error, else the last that the app said itself. */
export function lastWords(lines: readonly string[]): string | null {
  const named = lines.findLast((line) => /^(\S+ )?\w*(Error|Exception)\b.*/.test(line));
  return named ?? lines.findLast((line) => /\w/.test(line) && !NOT_ITS_OWN.test(line)) ?? null;
}
