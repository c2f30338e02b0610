/**
 * One app, one plan: what an app is doing, and what becomes of whatever arrives meanwhile. Pure; app.ts carries the effects out.
 * docs/reload.md shows the same table, and a test walks every cell and random interleavings.
 *
 *   stopped ─start→ starting ─up→ running ─reload→ reloading ─flipped→ settling ─retired→ running
 *      ↑                │failed      │                 │failed → running      │
 *      └──── stopping ←─┴── stop, delete, kill, from anywhere ─── ───────┘
 *
 * Generation numbers are given out here and never twice. `live` is the generation that serves, `candidate` the one that a reload
 * brings up, `retired` the one that drains after the flip.
 */

export type Plan =
  | { readonly phase: 'stopped'; readonly failed: string | null }
  | { readonly phase: 'starting'; readonly live: number }
  | { readonly phase: 'running'; readonly live: number }
  /** `exhausted`: a slot of the live generation used its budget up meanwhile, and why. The new generation would be the cure; without it the app is failed. */
  | { readonly phase: 'reloading'; readonly live: number; readonly candidate: number; readonly exhausted: string | null }
  | { readonly phase: 'settling'; readonly live: number; readonly retired: number }
  | { readonly phase: 'stopping'; readonly then: 'stopped' | 'deleted' | 'failed'; readonly failed: string | null };

export type PlanPhase = Plan['phase'];

export type PlanEvent =
  /** `generation` is the next number, already on disk. */
  | { readonly type: 'start'; readonly generation: number }
  | { readonly type: 'stop' }
  | { readonly type: 'delete' }
  | { readonly type: 'reload'; readonly generation: number }
  | { readonly type: 'scale' }
  /** autoscale, watch, cron, memory limit: nobody waits for an answer. */
  | { readonly type: 'automatic' }
  /** A worker ended by itself; `of` says in which generation. */
  | { readonly type: 'crash'; readonly of: number; readonly reason: string }
  /** A slot's budget is used up. */
  | { readonly type: 'exhausted'; readonly of: number; readonly reason: string }
  /** A slot of an app that was up does not hold: it is tried for ever, but nobody who waits for it can be made to. */
  | { readonly type: 'spent'; readonly reason: string }
  /** Every worker of the generation that comes up is ready and steady. */
  | { readonly type: 'up' }
  | { readonly type: 'reloadFailed'; readonly reason: string }
  /** The flip is on disk and done. */
  | { readonly type: 'flipped' }
  /** The last worker of the retired generation is gone. */
  | { readonly type: 'retired' }
  /** The last worker of a stopping app is gone. */
  | { readonly type: 'allGone' };

export type PlanEffect =
  | { readonly type: 'startGeneration'; readonly generation: number }
  | { readonly type: 'flip'; readonly to: number }
  | { readonly type: 'drainGeneration'; readonly generation: number }
  | { readonly type: 'killGeneration'; readonly generation: number }
  | { readonly type: 'drainAll' }
  | { readonly type: 'resize' }
  | { readonly type: 'restartSlot'; readonly reason: string }
  | { readonly type: 'closeListeners' }
  | { readonly type: 'answer'; readonly to: 'start' | 'reload' | 'stop'; readonly error: string | null }
  | { readonly type: 'forget' };

export type Verdict = 'done' | 'joins' | 'refused' | 'putOff' | 'dropped' | 'ignored';

export interface PlanStep {
  readonly plan: Plan;
  readonly verdict: Verdict;
  readonly effects: readonly PlanEffect[];
}

type Of<P extends PlanPhase> = Extract<Plan, { phase: P }>;
type Ev<T extends PlanEvent['type']> = Extract<PlanEvent, { type: T }>;
type Cells<P extends PlanPhase> = { readonly [T in PlanEvent['type']]: (plan: Of<P>, event: Ev<T>) => PlanStep };
type Table = { readonly [P in PlanPhase]: Cells<P> };

const done = (plan: Plan, ...effects: PlanEffect[]): PlanStep => ({ plan, verdict: 'done', effects });
const verdict =
  (name: Verdict) =>
  (plan: Plan): PlanStep => ({ plan, verdict: name, effects: [] });
const refused = verdict('refused');
const joins = verdict('joins');
const putOff = verdict('putOff');
const dropped = verdict('dropped');
const ignored = verdict('ignored');

const answer = (to: 'start' | 'reload' | 'stop', error: string | null = null): PlanEffect => ({ type: 'answer', to, error });
const stopping = (then: Of<'stopping'>['then'], failed: string | null = null): Plan => ({ phase: 'stopping', then, failed });
const restartSlot = (event: { readonly reason: string }): PlanEffect => ({ type: 'restartSlot', reason: event.reason });
/** Whoever waits for something that will not come is told so. */
const end = (reason: string): PlanEffect[] => [answer('start', reason), answer('reload', reason), { type: 'drainAll' }];
const ENDED = 'it was stopped meanwhile';

/** What the old generation is left as is what it would be without the reload. */
const failReload = (plan: Of<'reloading'>, reason: string): PlanStep => {
  const undo: PlanEffect[] = [{ type: 'killGeneration', generation: plan.candidate }, answer('reload', reason)];
  if (plan.exhausted === null) return done({ phase: 'running', live: plan.live }, ...undo);
  return done(stopping('failed', plan.exhausted), ...undo, ...end(plan.exhausted));
};

/** A scale is told; what is wanted stays, and so does the plan. */
const notGrown = (plan: Plan, event: { readonly reason: string }): PlanStep => done(plan, answer('start', event.reason));

/** What does not belong to a phase changes nothing there: a late report of something that was overtaken. */
const late = { up: ignored, reloadFailed: ignored, flipped: ignored, retired: ignored, allGone: ignored } as const;

export const PLAN_TABLE: Table = {
  stopped: {
    ...late,
    start: (_plan, event) => done({ phase: 'starting', live: event.generation }, { type: 'startGeneration', generation: event.generation }),
    stop: () => done({ phase: 'stopped', failed: null }, { type: 'closeListeners' }, answer('stop')),
    delete: (plan) => done(plan, { type: 'closeListeners' }, { type: 'forget' }, answer('stop')),
    reload: refused,
    scale: joins,
    automatic: dropped,
    crash: ignored,
    exhausted: ignored,
    spent: ignored,
  },
  starting: {
    ...late,
    start: joins,
    stop: () => done(stopping('stopped'), ...end(ENDED)),
    delete: () => done(stopping('deleted'), ...end(ENDED)),
    reload: refused,
    scale: (plan) => ({ plan, verdict: 'joins', effects: [{ type: 'resize' }] }),
    automatic: putOff,
    crash: (plan, event) => done(plan, restartSlot(event)),
    exhausted: (_plan, event) => done(stopping('failed', event.reason), ...end(event.reason)),
    spent: ignored,
    up: (plan) => done({ phase: 'running', live: plan.live }, answer('start')),
  },
  running: {
    ...late,
    start: refused,
    stop: () => done(stopping('stopped'), ...end(ENDED)),
    delete: () => done(stopping('deleted'), ...end(ENDED)),
    reload: (plan, event) =>
      done(
        { phase: 'reloading', live: plan.live, candidate: event.generation, exhausted: null },
        { type: 'startGeneration', generation: event.generation },
      ),
    scale: (plan) => done(plan, { type: 'resize' }),
    automatic: (plan) => done(plan),
    crash: (plan, event) => done(plan, restartSlot(event)),
    exhausted: (_plan, event) => done(stopping('failed', event.reason), ...end(event.reason)),
    spent: notGrown,
    // A worker that scale added, or one that crashed, is ready again.
    up: (plan) => done(plan, answer('start')),
  },
  reloading: {
    ...late,
    start: refused,
    stop: (plan) => done(stopping('stopped'), { type: 'killGeneration', generation: plan.candidate }, ...end(ENDED)),
    delete: (plan) => done(stopping('deleted'), { type: 'killGeneration', generation: plan.candidate }, ...end(ENDED)),
    reload: refused,
    scale: (plan) => ({ plan, verdict: 'joins', effects: [{ type: 'resize' }] }),
    automatic: putOff,
    // Only the old generation's workers are restarted; a new one that crashes is a bad build.
    crash: (plan, event) => (event.of === plan.candidate ? failReload(plan, event.reason) : done(plan, restartSlot(event))),
    exhausted: (plan, event) =>
      event.of === plan.candidate ? failReload(plan, event.reason) : done({ ...plan, exhausted: plan.exhausted ?? event.reason }),
    spent: notGrown,
    up: (plan) => done(plan, { type: 'flip', to: plan.candidate }),
    reloadFailed: (plan, event) => failReload(plan, event.reason),
    flipped: (plan) =>
      done({ phase: 'settling', live: plan.candidate, retired: plan.live }, { type: 'drainGeneration', generation: plan.live }),
  },
  settling: {
    ...late,
    start: refused,
    stop: () => done(stopping('stopped'), ...end(ENDED)),
    delete: () => done(stopping('deleted'), ...end(ENDED)),
    reload: refused,
    scale: (plan) => done(plan, { type: 'resize' }),
    automatic: putOff,
    crash: (plan, event) => (event.of === plan.retired ? ignored(plan) : done(plan, restartSlot(event))),
    exhausted: (plan, event) => (event.of === plan.retired ? ignored(plan) : done(stopping('failed', event.reason), ...end(event.reason))),
    spent: notGrown,
    up: (plan) => done(plan, answer('start')),
    retired: (plan) => done({ phase: 'running', live: plan.live }, answer('reload')),
  },
  stopping: {
    ...late,
    start: refused,
    stop: joins,
    delete: () => ({ plan: stopping('deleted'), verdict: 'joins', effects: [] }),
    reload: refused,
    scale: refused,
    automatic: dropped,
    crash: ignored,
    exhausted: ignored,
    spent: ignored,
    allGone: (plan) => {
      const rest: Plan = { phase: 'stopped', failed: plan.failed };
      return plan.then === 'deleted' ? done(rest, { type: 'forget' }, answer('stop')) : done(rest, answer('stop'));
    },
  },
};

export function stepPlan(plan: Plan, event: PlanEvent): PlanStep {
  // The table's type proves that the cell fits its phase and event; TypeScript cannot carry that through an index.
  const cell = PLAN_TABLE[plan.phase][event.type] as (plan: Plan, event: PlanEvent) => PlanStep;
  return cell(plan, event);
}
