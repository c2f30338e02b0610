/** The restart budget: DESIGN §5's numbers, on a clock of the test's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as v from 'valibot';
import { appConfigSchema } from '../../../supervisor/protocol/config.ts';
import { decideCrash, NO_HISTORY, type Crash, type CrashHistory } from '../../../supervisor/slots/restart-policy.ts';

const policy = v.parse(appConfigSchema, { name: 'a', script: 'a.js', cwd: '/' }).restart;
const crash = (change: Partial<Crash>): Crash => ({
  reason: 'died',
  readyForMs: 1_000,
  generationWasReady: true,
  nowMs: 0,
  random: 1,
  ...change,
});

test('a generation that was never ready gets three starts, then fails for good', () => {
  let history: CrashHistory = NO_HISTORY;
  const kinds: string[] = [];
  for (let i = 0; i < 3; i++) {
    const decision = decideCrash(crash({ readyForMs: null, generationWasReady: false, nowMs: i * 1_000 }), history, policy);
    kinds.push(decision.kind);
    history = decision.history;
  }
  assert.deepEqual(kinds, ['retry', 'retry', 'giveUp']);
});

test('a slot that was ready is restarted for ever, with a pause that doubles from 100 ms to 30 s', () => {
  let history: CrashHistory = NO_HISTORY;
  const delays: number[] = [];
  for (let i = 0; i < 12; i++) {
    const decision = decideCrash(crash({ nowMs: i * 120_000 }), history, policy);
    assert.equal(decision.kind, 'retry');
    if (decision.kind === 'retry') delays.push(decision.delayMs);
    history = decision.history;
  }
  assert.deepEqual(delays, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000, 30_000]);
});

test('the pause is drawn from the whole range, and begins anew after a minute ready', () => {
  const half = decideCrash(crash({ random: 0.5 }), { starts: 0, attempt: 3, crashesMs: [] }, policy);
  assert.equal(half.kind === 'retry' && half.delayMs, 400);
  const lived = decideCrash(crash({ readyForMs: 60_000 }), { starts: 0, attempt: 9, crashesMs: [] }, policy);
  assert.equal(lived.kind === 'retry' && lived.delayMs, 100);
});

test('more than five crashes within a minute make it degraded; older ones do not count', () => {
  const crashesMs = [0, 1_000, 2_000, 3_000, 4_000];
  const sixth = decideCrash(crash({ nowMs: 5_000 }), { starts: 0, attempt: 1, crashesMs }, policy);
  assert.ok(sixth.kind === 'retry' && sixth.degraded !== null);
  const late = decideCrash(crash({ nowMs: 61_500 }), { starts: 0, attempt: 1, crashesMs }, policy);
  assert.ok(late.kind === 'retry' && late.degraded === null);
});

test('a limit of restarts, where one is set, makes it failed', () => {
  const decision = decideCrash(crash({ nowMs: 5_000 }), { starts: 0, attempt: 1, crashesMs: [1, 2] }, { ...policy, max: 2 });
  assert.equal(decision.kind, 'giveUp');
});
