/**
 * The life of the worker in one slot of one generation, as one table. Pure: events in, the next state and effects out; slot.ts
 * carries the effects out.
 *
 *   cold ─start→ spawning ─running→ booting ─ready→ ready ─drain→ draining ─drained→ stopping ─exited→ exited
 *                   │                  │              │ crash
 *                   └──── crashed ─────┴──────────────┴──→ exited ─retry→ backoff ─elapsed→ spawning
 *                                                            └────giveUp→ failed
 *
 * Every waiting state has a deadline and its expiry is an event. What follows a crash is not decided here: the slot says `crashed`,
 * and the app's plan answers with retry, giveUp, or nothing (s6's table, OTP's split of machine and policy).
 */
import type { SlotState } from '../protocol/states.ts';
import type { Ms } from '../protocol/units.ts';

/** covet-exec takes ~3 ms; this is for a machine that swaps. */
const SPAWN_TIMEOUT_MS = 20_000;
/** The worker ends its drain by itself at drainTimeoutMs; only one that hangs is still there later. */
const DRAIN_MARGIN_MS = 2_000;
/** After SIGKILL only the kernel can be slow; the signal is sent again. */
const KILL_AGAIN_MS = 5_000;

export type SlotEvent =
  | { readonly type: 'start' }
  /** Its worker was left by the supervisor before this one. */
  | { readonly type: 'adopted'; readonly as: 'spawning' | 'booting' | 'ready' }
  | { readonly type: 'running' }
  /** covet-exec could not start it; there is no process. */
  | { readonly type: 'spawnFailed'; readonly reason: string }
  | { readonly type: 'ready' }
  | { readonly type: 'exited'; readonly reason: string }
  /** The deadline of the present state passed. */
  | { readonly type: 'elapsed' }
  | { readonly type: 'drain'; readonly reason: string }
  | { readonly type: 'drained' }
  /** Stop now, without a drain. */
  | { readonly type: 'stop'; readonly reason: string }
  | { readonly type: 'kill'; readonly reason: string }
  | { readonly type: 'retry'; readonly delayMs: Ms; readonly reason: string }
  | { readonly type: 'giveUp'; readonly reason: string };

export type SlotEffect =
  | { readonly type: 'spawn' }
  | { readonly type: 'arm'; readonly ms: Ms }
  | { readonly type: 'disarm' }
  | { readonly type: 'beginDrain' }
  | { readonly type: 'signal'; readonly which: 'stop' | 'kill' }
  /** It ended without being asked to. */
  | { readonly type: 'crashed'; readonly reason: string }
  /** It ended as asked, or never was. */
  | { readonly type: 'gone' };

export interface SlotLimits {
  readonly readyTimeoutMs: Ms;
  readonly drainTimeoutMs: Ms;
  readonly killTimeoutMs: Ms;
}

export interface SlotStep {
  readonly state: SlotState;
  readonly effects: readonly SlotEffect[];
  /** Why, for the event log; the first reason of a leaving slot is kept by slot.ts. */
  readonly reason: string;
}

type Cell = (event: SlotEvent, limits: SlotLimits) => SlotStep | null;
type Row = Readonly<Record<SlotEvent['type'], Cell>>;

const ignore: Cell = () => null;
const go =
  (state: SlotState, effects: readonly SlotEffect[] = [], reason = ''): Cell =>
  (event) => ({ state, effects, reason: 'reason' in event ? event.reason : reason });

const crashed: Cell = (event) => {
  const reason = 'reason' in event ? event.reason : 'ended';
  return { state: 'exited', effects: [{ type: 'disarm' }, { type: 'crashed', reason }], reason };
};
const gone = go('exited', [{ type: 'disarm' }, { type: 'gone' }]);
const stop: Cell = (event, limits) => ({
  state: 'stopping',
  effects: [
    { type: 'signal', which: 'stop' },
    { type: 'arm', ms: limits.killTimeoutMs },
  ],
  reason: 'reason' in event ? event.reason : 'drained',
});
const kill = go('stopping', [
  { type: 'signal', which: 'kill' },
  { type: 'arm', ms: KILL_AGAIN_MS },
]);
/** A worker past its deadline is killed and then counts as crashed, with the reason it was killed for. */
const killAs =
  (what: (limits: SlotLimits) => string, state: SlotState): Cell =>
  (_event, limits) => ({
    state,
    effects: [
      { type: 'signal', which: 'kill' },
      { type: 'arm', ms: KILL_AGAIN_MS },
    ],
    reason: what(limits),
  });
const adopt: Cell = (event, limits) => {
  if (event.type !== 'adopted') return null;
  const waitMs = { spawning: SPAWN_TIMEOUT_MS, booting: limits.readyTimeoutMs, ready: null }[event.as];
  return { state: event.as, effects: waitMs === null ? [] : [{ type: 'arm', ms: waitMs }], reason: 'left by the supervisor before' };
};
const spawn = go('spawning', [{ type: 'spawn' }, { type: 'arm', ms: SPAWN_TIMEOUT_MS }], 'starting');

/** A slot without a process: whatever would end it has nothing to do. */
const empty: Row = {
  start: spawn,
  adopted: ignore,
  running: ignore,
  spawnFailed: ignore,
  ready: ignore,
  exited: ignore,
  elapsed: ignore,
  drain: gone,
  drained: ignore,
  stop: gone,
  kill: gone,
  retry: ignore,
  giveUp: ignore,
};

/** A slot that is being ended: only its end matters. */
const ending: Row = {
  start: ignore,
  adopted: ignore,
  running: go(
    'stopping',
    [
      { type: 'signal', which: 'kill' },
      { type: 'arm', ms: KILL_AGAIN_MS },
    ],
    'stopped while it was spawned',
  ),
  spawnFailed: gone,
  ready: ignore,
  exited: gone,
  elapsed: kill,
  drain: ignore,
  drained: ignore,
  stop: ignore,
  kill,
  retry: ignore,
  giveUp: ignore,
};

export const SLOT_TABLE = {
  cold: { ...empty, adopted: adopt },
  spawning: {
    ...ending,
    running: (_event, limits) => ({ state: 'booting', effects: [{ type: 'arm', ms: limits.readyTimeoutMs }], reason: 'runs' }),
    spawnFailed: crashed,
    exited: crashed,
    elapsed: killAs(() => `did not start within ${SPAWN_TIMEOUT_MS} ms`, 'spawning'),
    // No process is known yet: its `running` or `spawnFailed` ends the story.
    drain: go('stopping', [{ type: 'arm', ms: SPAWN_TIMEOUT_MS }]),
    stop: go('stopping', [{ type: 'arm', ms: SPAWN_TIMEOUT_MS }]),
    kill: go('stopping', [{ type: 'arm', ms: SPAWN_TIMEOUT_MS }]),
  },
  booting: {
    ...ending,
    running: ignore,
    ready: go('ready', [{ type: 'disarm' }], 'ready'),
    exited: crashed,
    elapsed: killAs((limits) => `was not ready within ${limits.readyTimeoutMs} ms`, 'booting'),
    // It serves nobody yet, so there is nothing to drain.
    drain: stop,
    stop,
  },
  ready: {
    ...ending,
    running: ignore,
    exited: crashed,
    elapsed: ignore,
    drain: (event, limits) => ({
      state: 'draining',
      effects: [{ type: 'beginDrain' }, { type: 'arm', ms: limits.drainTimeoutMs + DRAIN_MARGIN_MS }],
      reason: 'reason' in event ? event.reason : '',
    }),
    stop,
  },
  draining: { ...ending, running: ignore, drained: stop, elapsed: stop, stop },
  stopping: ending,
  exited: {
    ...empty,
    retry: (event) => ({
      state: 'backoff',
      effects: [{ type: 'arm', ms: event.type === 'retry' ? event.delayMs : 0 }],
      reason: 'reason' in event ? event.reason : '',
    }),
    giveUp: go('failed'),
  },
  backoff: { ...empty, elapsed: spawn, drain: go('exited', [{ type: 'disarm' }, { type: 'gone' }]) },
  failed: empty,
} as const satisfies Readonly<Record<SlotState, Row>>;

/** The next state and what to do, or null when the event means nothing there. */
export function stepSlot(state: SlotState, event: SlotEvent, limits: SlotLimits): SlotStep | null {
  return SLOT_TABLE[state][event.type](event, limits);
}

/** States in which a process may exist. */
export function hasProcess(state: SlotState): boolean {
  return state === 'spawning' || state === 'booting' || state === 'ready' || state === 'draining' || state === 'stopping';
}
