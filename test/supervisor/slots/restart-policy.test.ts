/** The restart budget: DESIGN §5's numbers, on a clock of the test's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as v from 'valibot';
import { appConfigSchema } from '../../../supervisor/protocol/config.ts';
import { decideCrash, NO_HISTORY, type Crash, type CrashDecision, type CrashHistory } from '../../../supervisor/slots/restart-policy.ts';

const config = v.parse(appConfigSchema, { name: 'a', script: 'a.js', cwd: '/' });
const crash = (change: Partial<Crash>): Crash => ({
  reason: 'died',
  readyForMs: 1_000,
  generationWasUp: true,
  nowMs: 0,
  random: 1,
  ...change,
});

/** What each of a slot's crashes in a row is answered with. */
function decide(crashes: readonly Partial<Crash>[]): CrashDecision[] {
  let history: CrashHistory = NO_HISTORY;
  return crashes.map((change, i) => {
    const decision = decideCrash(crash({ nowMs: i * 120_000, ...change }), history, config);
    history = decision.history;
    return decision;
  });
}

test('a slot of a generation that never was up gets three starts, however long each of them lived', () => {
  for (const readyForMs of [null, 0, 300, 999, 1_000, 3_600_000]) {
    const decisions = decide(Array.from({ length: 3 }, () => ({ generationWasUp: false, readyForMs })));
    assert.deepEqual(
      decisions.map(({ kind }) => kind),
      ['retry', 'retry', 'giveUp'],
      `ready for ${readyForMs} ms`,
    );
    const last = decisions.at(-1)!;
    assert.equal(last.kind === 'giveUp' && last.reason, 'died, 3 times before the app was up');
  }
});

test('once it was up, a slot is restarted for ever; after three lives in a row that were not steady it is spent', () => {
  const decisions = decide([null, 999, null, 999, 1_000, 999, null].map((readyForMs) => ({ readyForMs })));
  const spent = decisions.map((decision) => decision.kind === 'retry' && decision.spent !== null);
  assert.deepEqual(spent, [false, false, true, true, false, false, false]);
  const [, , third] = decisions;
  assert.ok(third?.kind === 'retry' && third.degraded === third.spent, 'and the app is degraded for it');
});

test('starts before the app was up count as the first of those after it', () => {
  const decisions = decide([{ generationWasUp: false }, { generationWasUp: false }, { readyForMs: null }]);
  assert.deepEqual(
    decisions.map((decision) => decision.kind === 'retry' && decision.spent !== null),
    [false, false, true],
  );
});

test('the pause doubles from 100 ms to 30 s', () => {
  const delays = decide(Array.from({ length: 12 }, () => ({}))).map((decision) => decision.kind === 'retry' && decision.delayMs);
  assert.deepEqual(delays, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000, 30_000]);
});

test('the pause is drawn from the whole range, and begins anew after a minute ready', () => {
  const half = decideCrash(crash({ random: 0.5 }), { starts: 0, attempt: 3, crashesMs: [] }, config);
  assert.equal(half.kind === 'retry' && half.delayMs, 400);
  const lived = decideCrash(crash({ readyForMs: 60_000 }), { starts: 0, attempt: 9, crashesMs: [] }, config);
  assert.equal(lived.kind === 'retry' && lived.delayMs, 100);
});

test('more than five crashes within a minute make it degraded; older ones do not count', () => {
  const crashesMs = [0, 1_000, 2_000, 3_000, 4_000];
  const sixth = decideCrash(crash({ nowMs: 5_000 }), { starts: 0, attempt: 1, crashesMs }, config);
  assert.ok(sixth.kind === 'retry' && sixth.degraded !== null);
  const late = decideCrash(crash({ nowMs: 61_500 }), { starts: 0, attempt: 1, crashesMs }, config);
  assert.ok(late.kind === 'retry' && late.degraded === null);
});

test('a limit of restarts, where one is set, makes it failed', () => {
  const decision = decideCrash(
    crash({ nowMs: 5_000 }),
    { starts: 0, attempt: 1, crashesMs: [1, 2] },
    { ...config, restart: { ...config.restart, max: 2 } },
  );
  assert.equal(decision.kind, 'giveUp');
});
