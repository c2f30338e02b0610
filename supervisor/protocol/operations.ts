/**
 * Operations are data: name, kind, input schema, and the type of what comes back. The CLI, the control socket and the typed client
 * are made from this table; the handlers are supervisor/operations/<name>.ts.
 *
 * Kinds: `read` changes nothing; `run` changes what runs; `define` can make the supervisor execute code it did not know.
 * A subscription's request answers at once and its items follow (rpc.ts).
 */
import * as v from 'valibot';
import { appConfigSchema, count, oneOf, yesOrNo } from './config.ts';
import type { CovetEvent } from './events.ts';
import type { AppStatus, ListenerCondition, SlotState } from './states.ts';
import { SLOTS_MAX } from './units.ts';
import type { DrainCounts } from './worker-wire.ts';

const appName = v.pipe(v.string('the name of an app'), v.minLength(1, 'the name of an app'), v.maxLength(64, 'the name of an app'));
const callerEnv = v.record(v.string(), v.string('a string'), 'an object of strings');
const none = v.optional(v.strictObject({}), {});
const target = v.strictObject({ app: appName });
const stream = oneOf(['out', 'err']);
const logMark = v.strictObject({ ino: v.number(), size: v.number() });

export const OPERATIONS = {
  ping: { kind: 'read', input: none, summary: 'Whether the supervisor answers, with its version and pids.' },
  list: { kind: 'read', input: none, summary: 'Every app and its workers.' },
  describe: {
    kind: 'read',
    input: v.strictObject({ app: appName, showEnv: v.optional(yesOrNo, false) }),
    summary: 'One app in full: config, workers, listeners, last log lines, last events.',
  },
  health: {
    kind: 'read',
    input: v.strictObject({ app: v.optional(appName) }),
    summary: 'Whether every wanted app, or one app, is serving; exits with 0 or 1 only.',
  },
  doctor: { kind: 'read', input: none, summary: 'What the host allows, what each app got and why, what to change.' },
  start: {
    kind: 'define',
    input: v.strictObject({ config: appConfigSchema, env: callerEnv }),
    summary: 'Start an app; returns when every worker is ready, or says why not.',
  },
  startStopped: {
    kind: 'run',
    input: v.strictObject({ app: appName }),
    summary: 'Start an app that was stopped or has failed, as it was.',
  },
  scale: {
    kind: 'run',
    input: v.strictObject({
      app: appName,
      instances: v.union([count(1, SLOTS_MAX), v.literal('max')], `an integer from 1 to ${SLOTS_MAX} or "max"`),
    }),
    summary: 'Change how many workers an app has.',
  },
  reload: {
    kind: 'run',
    /** `env` given: the environment becomes this, here and of `restart`. */
    input: v.strictObject({ app: appName, env: v.optional(callerEnv) }),
    summary: 'Replace every worker without losing a connection.',
  },
  restart: { kind: 'run', input: v.strictObject({ app: appName, env: v.optional(callerEnv) }), summary: 'Stop, then start.' },
  stop: { kind: 'run', input: target, summary: 'Drain and end every worker; the app stays in the list.' },
  delete: { kind: 'run', input: target, summary: 'Stop, and forget the app.' },
  kill: { kind: 'run', input: none, summary: 'Drain and end every app, then the supervisor; `resurrect` brings them back.' },
  upgrade: {
    kind: 'define',
    input: v.strictObject({ folder: v.pipe(v.string(), v.maxLength(4_096)), node: v.pipe(v.string(), v.maxLength(4_096)) }),
    summary: 'Switch the supervisor and covet-init to another version; apps keep running.',
  },
  resurrect: { kind: 'run', input: none, summary: 'Run again what was wanted when the supervisor ended; leave safe mode.' },
  logs: {
    kind: 'read',
    subscription: true,
    input: v.strictObject({
      app: v.optional(appName),
      streams: v.optional(oneOf(['both', 'out', 'err']), 'both'),
      lines: v.optional(count(0, 100_000), 15),
      follow: v.optional(yesOrNo, false),
      /** Streams that are told from a LogItem's mark on, instead of by their last lines. */
      after: v.optional(v.array(v.strictObject({ app: appName, stream, mark: logMark })), []),
    }),
    summary: "An app's last log lines; with `follow`, new ones as they come.",
  },
  events: {
    kind: 'read',
    subscription: true,
    input: v.strictObject({
      app: v.optional(appName),
      last: v.optional(count(0, 10_000), 20),
      follow: v.optional(yesOrNo, false),
    }),
    summary: 'The last events; with `follow`, new ones as they come.',
  },
} as const satisfies Record<string, { kind: 'read' | 'run' | 'define'; subscription?: true; input: v.GenericSchema; summary: string }>;

export type OperationName = keyof typeof OPERATIONS;
export type OperationInput<N extends OperationName> = v.InferInput<(typeof OPERATIONS)[N]['input']>;
export type OperationParsed<N extends OperationName> = v.InferOutput<(typeof OPERATIONS)[N]['input']>;

export interface WorkerView {
  readonly slot: number;
  /** 0 when there is no process. */
  readonly pid: number;
  readonly state: SlotState;
  readonly generation: number;
  /** The CPUs it may run on. */
  readonly cpus: readonly number[];
  readonly restarts: number;
  readonly uptimeMs: number;
  readonly cpuPercent: number;
  readonly rssBytes: number;
}

export interface AppView {
  readonly name: string;
  readonly status: AppStatus;
  readonly wanted: number;
  readonly generation: number;
  readonly listen: readonly string[];
  readonly workers: readonly WorkerView[];
}

export interface ListView {
  readonly apiVersion: 1;
  readonly init: { readonly pid: number };
  readonly supervisor: {
    readonly pid: number;
    readonly version: string;
    readonly startedAt: string;
    /** It starts nothing until `resurrect` (docs/reliability.md). */
    readonly safeMode: boolean;
    /** What was wrong with wanted.json when this supervisor read it, as a sentence: apps may be missing (docs/state.md). */
    readonly stateProblem: string | null;
  };
  readonly apps: readonly AppView[];
}

/** An app that could not be started, and why, in words. */
export interface FailedStart {
  readonly app: string;
  readonly reason: string;
}

export interface ListenerView {
  readonly listener: string;
  readonly condition: ListenerCondition;
  /** bpf: the kernel program picks the worker; hash: one socket a slot and the kernel's hash; shared: one socket for all; own: bound by the worker itself. */
  readonly dispatch: 'bpf' | 'hash' | 'shared' | 'own';
  readonly half: 'A' | 'B' | null;
  /** Slots in the set, and connections waiting in each slot's queue now. */
  readonly eligible: readonly number[];
  readonly queued: readonly number[];
  readonly backlog: number;
}

export interface DescribeView extends AppView {
  readonly apiVersion: 1;
  readonly config: Readonly<Record<string, unknown>>;
  /** Names only, unless `showEnv` was asked for. */
  readonly env: Readonly<Record<string, string>> | readonly string[];
  readonly mode: 'cluster' | 'fork' | 'self-bound';
  readonly reload: 'overlap' | 'replace';
  readonly stopTimeoutMs: number;
  readonly pin: { readonly on: boolean; readonly why: string };
  readonly listeners: readonly ListenerView[];
  readonly lastExit: string | null;
  readonly logs: { readonly out: string; readonly err: string; readonly lastLines: readonly string[] };
  readonly events: readonly CovetEvent[];
}

export interface AppHealth {
  readonly name: string;
  readonly status: AppStatus;
  /** Online, or reloading or degraded with a worker that is ready. */
  readonly isHealthy: boolean;
  readonly reason: string;
}

/** `apps`: those that are wanted, or the one that was asked about. */
export interface HealthView {
  readonly apiVersion: 1;
  readonly isHealthy: boolean;
  /** One line. */
  readonly reason: string;
  readonly apps: readonly AppHealth[];
}

export interface PingView {
  readonly apiVersion: 1;
  readonly version: string;
  readonly control: { readonly min: number; readonly max: number };
  /** `path`: its executable; null where it cannot be told. */
  readonly init: { readonly pid: number; readonly path: string | null };
  readonly supervisor: { readonly pid: number };
  /** The copy of covet-pm that the supervisor runs from. */
  readonly folder: string;
}

/** What a leaving generation's connections came to, summed over its workers. */
export interface StopView {
  readonly apiVersion: 1;
  readonly app: AppView;
  readonly drain: DrainCounts;
  /** Workers that had to be killed. */
  readonly killed: number;
}

export interface ReloadView extends StopView {
  readonly mode: 'overlap' | 'replace';
  readonly generation: number;
  readonly durationMs: number;
}

/** A place in a file that may be rotated away. */
export type LogMark = v.InferOutput<typeof logMark>;

export interface LogItem {
  readonly app: string;
  readonly stream: v.InferOutput<typeof stream>;
  readonly line: string;
  /** With `follow`: where to go on after this line, for `after`. Of the last lines, which come first, where they end. */
  readonly mark?: LogMark;
  /** It came while it was followed. */
  readonly isNew?: true;
}

export interface DoctorFinding {
  readonly level: 'ok' | 'note' | 'warning';
  readonly what: string;
  readonly found: string;
  /** What to do; empty when nothing is. */
  readonly advice: string;
}

export interface DoctorView {
  readonly apiVersion: 1;
  readonly findings: readonly DoctorFinding[];
}

/** What each operation answers; a subscription's entry is the type of its items. */
export interface OperationResults {
  ping: PingView;
  list: ListView;
  describe: DescribeView;
  health: HealthView;
  doctor: DoctorView;
  start: { readonly apiVersion: 1; readonly app: AppView };
  startStopped: { readonly apiVersion: 1; readonly app: AppView };
  scale: { readonly apiVersion: 1; readonly app: AppView };
  reload: ReloadView;
  restart: { readonly apiVersion: 1; readonly app: AppView };
  stop: StopView;
  delete: StopView;
  kill: { readonly apiVersion: 1; readonly apps: number };
  upgrade: { readonly apiVersion: 1; readonly from: string; readonly to: string };
  resurrect: ListView & { readonly failed: readonly FailedStart[] };
  logs: LogItem;
  events: CovetEvent;
}
