/** One app, one plan: DESIGN §5's table cell by cell, then random interleavings that keep its invariants. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PLAN_TABLE, stepPlan, type Plan, type PlanEvent, type Verdict } from '../../../supervisor/apps/plan-machine.ts';
import { seededRandom, testSeed } from '../../seed.ts';

const PLANS: Record<Plan['phase'], Plan> = {
  stopped: { phase: 'stopped', failed: null },
  starting: { phase: 'starting', live: 1 },
  running: { phase: 'running', live: 1 },
  reloading: { phase: 'reloading', live: 1, candidate: 2, exhausted: null },
  settling: { phase: 'settling', live: 2, retired: 1 },
  stopping: { phase: 'stopping', then: 'stopped', failed: null },
};

interface Row {
  readonly event: PlanEvent;
  readonly verdicts: Partial<Record<Plan['phase'], Verdict>>;
  readonly phases: Partial<Record<Plan['phase'], Plan['phase']>>;
}

/** The columns of DESIGN §5: starting · reloading before the flip · draining after it · stopping. */
const ROWS: Record<string, Row> = {
  stop: {
    event: { type: 'stop' },
    verdicts: { starting: 'done', reloading: 'done', settling: 'done', stopping: 'joins' },
    phases: { starting: 'stopping', reloading: 'stopping', settling: 'stopping', stopping: 'stopping' },
  },
  delete: {
    event: { type: 'delete' },
    verdicts: { starting: 'done', reloading: 'done', settling: 'done', stopping: 'joins' },
    phases: { starting: 'stopping', reloading: 'stopping', settling: 'stopping', stopping: 'stopping' },
  },
  reload: {
    event: { type: 'reload', generation: 9 },
    verdicts: { starting: 'refused', reloading: 'refused', settling: 'refused', stopping: 'refused', running: 'done', stopped: 'refused' },
    phases: { starting: 'starting', reloading: 'reloading', settling: 'settling', stopping: 'stopping', running: 'reloading' },
  },
  scale: {
    event: { type: 'scale' },
    verdicts: { starting: 'joins', reloading: 'joins', settling: 'done', stopping: 'refused' },
    phases: { starting: 'starting', reloading: 'reloading', settling: 'settling', stopping: 'stopping' },
  },
  automatic: {
    event: { type: 'automatic' },
    verdicts: { starting: 'putOff', reloading: 'putOff', settling: 'putOff', stopping: 'dropped' },
    phases: { starting: 'starting', reloading: 'reloading', settling: 'settling', stopping: 'stopping' },
  },
  'crash of an old worker': {
    event: { type: 'crash', of: 1, reason: 'x' },
    verdicts: { starting: 'done', reloading: 'done', settling: 'ignored', stopping: 'ignored' },
    phases: { starting: 'starting', reloading: 'reloading', settling: 'settling', stopping: 'stopping' },
  },
  'a slot that does not hold': {
    event: { type: 'spent', reason: 'x' },
    verdicts: { stopped: 'ignored', starting: 'ignored', running: 'done', reloading: 'done', settling: 'done', stopping: 'ignored' },
    phases: { starting: 'starting', running: 'running', reloading: 'reloading', settling: 'settling', stopping: 'stopping' },
  },
  'a slot of the old generation that used its budget up': {
    event: { type: 'exhausted', of: 1, reason: 'x' },
    verdicts: { starting: 'done', running: 'done', reloading: 'done', settling: 'ignored', stopping: 'ignored' },
    phases: { starting: 'stopping', running: 'stopping', reloading: 'reloading', settling: 'settling', stopping: 'stopping' },
  },
  'crash of a new worker': {
    event: { type: 'crash', of: 2, reason: 'x' },
    verdicts: { reloading: 'done', settling: 'done', stopping: 'ignored' },
    phases: { reloading: 'running', settling: 'settling', stopping: 'stopping' },
  },
};

for (const [name, { event, verdicts, phases }] of Object.entries(ROWS)) {
  for (const [phase, verdict] of Object.entries(verdicts) as [Plan['phase'], Verdict][]) {
    test(`${name} while ${phase}: ${verdict}`, () => {
      const step = stepPlan(PLANS[phase], event);
      assert.equal(step.verdict, verdict);
      if (phases[phase] !== undefined) assert.equal(step.plan.phase, phases[phase]);
    });
  }
}

test('a reload that fails kills the new generation and leaves the old one serving', () => {
  const step = stepPlan(PLANS.reloading, { type: 'reloadFailed', reason: 'no' });
  assert.deepEqual(step.plan, { phase: 'running', live: 1 });
  assert.deepEqual(step.effects, [
    { type: 'killGeneration', generation: 2 },
    { type: 'answer', to: 'reload', error: 'no' },
  ]);
});

test('a slot that used its budget up while a reload was under way is not forgotten when that fails, and is when it succeeds', () => {
  const { plan } = stepPlan(PLANS.reloading, { type: 'exhausted', of: 1, reason: 'worker 0 crashed' });
  const failed = stepPlan(plan, { type: 'reloadFailed', reason: 'no' });
  assert.deepEqual(failed.plan, { phase: 'stopping', then: 'failed', failed: 'worker 0 crashed' });
  assert.deepEqual(failed.effects, [
    { type: 'killGeneration', generation: 2 },
    { type: 'answer', to: 'reload', error: 'no' },
    { type: 'answer', to: 'start', error: 'worker 0 crashed' },
    { type: 'answer', to: 'reload', error: 'worker 0 crashed' },
    { type: 'drainAll' },
  ]);
  assert.deepEqual(stepPlan(plan, { type: 'flipped' }).plan, PLANS.settling);
});

test('a slot that does not hold is told to whoever waits for a scale, and changes nothing else', () => {
  for (const phase of ['running', 'reloading', 'settling'] as const) {
    const step = stepPlan(PLANS[phase], { type: 'spent', reason: 'no' });
    assert.deepEqual(step.plan, PLANS[phase]);
    assert.deepEqual(step.effects, [{ type: 'answer', to: 'start', error: 'no' }]);
  }
});

test('every phase has a cell for every event', () => {
  const events = Object.keys(PLAN_TABLE.stopped).sort();
  for (const [phase, row] of Object.entries(PLAN_TABLE)) assert.deepEqual(Object.keys(row).sort(), events, phase);
});

/** What the shell would report next is possible at any time: it may be late, doubled, or overtaken. */
function randomEvent(random: () => number, next: () => number): PlanEvent {
  const events: (() => PlanEvent)[] = [
    () => ({ type: 'start', generation: next() }),
    () => ({ type: 'stop' }),
    () => ({ type: 'delete' }),
    () => ({ type: 'reload', generation: next() }),
    () => ({ type: 'scale' }),
    () => ({ type: 'automatic' }),
    () => ({ type: 'crash', of: 1 + Math.floor(random() * 4), reason: 'crash' }),
    () => ({ type: 'exhausted', of: 1 + Math.floor(random() * 4), reason: 'spent' }),
    () => ({ type: 'spent', reason: 'spent' }),
    () => ({ type: 'up' }),
    () => ({ type: 'reloadFailed', reason: 'bad' }),
    () => ({ type: 'flipped' }),
    () => ({ type: 'retired' }),
    () => ({ type: 'allGone' }),
  ];
  return events[Math.floor(random() * events.length)]!();
}

test('random interleavings: each operation is answered once, no generation comes back, none that used a budget up is left to run, refusals change nothing', () => {
  const seed = testSeed();
  const random = seededRandom(seed);
  for (let walk = 0; walk < 2_000; walk++) {
    let plan: Plan = PLANS.stopped;
    let number = 0;
    const retired = new Set<number>();
    const usedUp = new Set<number>();
    const open = { start: 0, reload: 0, stop: 0 };
    for (let i = 0; i < 60; i++) {
      const event = randomEvent(random, () => ++number);
      const step = stepPlan(plan, event);
      const at = `seed ${seed}, walk ${walk}, step ${i}: ${event.type} while ${plan.phase}`;
      if (step.verdict === 'refused' || step.verdict === 'ignored' || step.verdict === 'dropped') {
        assert.deepEqual(step.plan, plan, at);
        assert.deepEqual(step.effects, [], at);
      }
      if (event.type === 'start' && step.verdict === 'done') open.start = 1;
      if (event.type === 'scale' && plan.phase === 'running') open.start = 1;
      if (event.type === 'reload' && step.verdict === 'done') open.reload = 1;
      if ((event.type === 'stop' || event.type === 'delete') && step.verdict !== 'refused') open.stop = 1;
      for (const effect of step.effects) if (effect.type === 'answer') open[effect.to] = 0;
      for (const generation of generationsOf(step.plan)) assert.ok(!retired.has(generation), `${at}: generation ${generation} is back`);
      for (const generation of generationsOf(plan)) if (!generationsOf(step.plan).includes(generation)) retired.add(generation);
      if (event.type === 'exhausted' && 'live' in plan && plan.live === event.of) usedUp.add(event.of);
      plan = step.plan;
      if (plan.phase === 'running') assert.ok(!usedUp.has(plan.live), `${at}: generation ${plan.live} runs on without a slot`);
      assert.equal(
        open.reload === 1,
        plan.phase === 'reloading' || (plan.phase === 'settling' && open.reload === 1),
        `${at}: a reload without an answer`,
      );
      if (event.type === 'spent' && step.verdict === 'done') assert.ok(open.start === 0, `${at}: a scale without an answer`);
      if (plan.phase === 'stopped') assert.deepEqual(open, { start: 0, reload: 0, stop: 0 }, at);
    }
  }
});

function generationsOf(plan: Plan): number[] {
  return [
    ...('live' in plan ? [plan.live] : []),
    ...(plan.phase === 'reloading' ? [plan.candidate] : []),
    ...(plan.phase === 'settling' ? [plan.retired] : []),
  ];
}
