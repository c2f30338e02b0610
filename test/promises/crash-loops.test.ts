/**
 * Workers that crash for ever make nobody wait for ever: `start` and `restart` fail once a slot has used its starts, `scale` says that the
 * new workers do not hold, and goes on trying. A worker that listens and throws before it is steady is no better than one that throws
 * at once.
 */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { EventLog } from './event-log.ts';
import { eventually, within } from './eventually.ts';
import type { CommandResult } from './home.ts';
import { said, Served } from './served.ts';

/** Throws 300 ms after it listened: it was ready, and never steady. */
const BAD = { BAD_AFTER_MS: '300' };
const LIMITS = { minHealthyMs: 2_000, restart: { delayMs: 20, delayMaxMs: 50, intensityMs: 2_000 } } as const;
/** Three starts take two seconds; without a bound it is for ever. */
const ANSWER_MS = 30_000;

function startsOf(events: EventLog, app: string, slot: number): number {
  return events.of('slot.changed').filter((event) => event.app === app && event.slot === slot && event.to === 'spawning').length;
}

async function assertFails(command: Promise<CommandResult>, reason: RegExp): Promise<void> {
  const result = await within('an answer', command, ANSWER_MS);
  assert.equal(result.code, 1, said(result));
  const text = result.stdout + result.stderr;
  assert.match(text, reason);
}

/** Two workers that hold; slots from 2 on do not. */
async function serveTwo(t: TestContext, env: Record<string, string>, limits: object = {}): Promise<Served> {
  return Served.start(t, { app: 'bad-slots.cjs', config: { ...LIMITS, ...limits, env: { BAD_FROM: '2', ...env } } });
}

describe('workers that crash for ever', () => {
  test('start of an app whose workers listen and then crash fails after three starts a slot, with what they said', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const events = await served.home.events();
    served.deployment.release('bad', 'bad-slots.cjs');
    const start = served.home.tryStart({ ...LIMITS, script: served.deployment.script, name: 'bad', instances: 2, env: BAD });
    await assertFails(start, /before the app was up.*the second job failed/s);
    assert.equal((await served.home.app('bad')).status, 'failed');
    const starts = [0, 1].map((slot) => startsOf(events, 'bad', slot));
    assert.equal(Math.max(...starts), 3, `starts a slot: ${starts.join(', ')}`);
    const ending = events.of('app.changed').find(({ app, to }) => app === 'bad' && to === 'stopping');
    assert.match(ending?.reason ?? '', /before the app was up/, 'the app ends for the reason that its start gives');
    assert.equal((await served.home.covet('kill')).code, 0);
    const resurrected = await served.home.covet('resurrect');
    assert.equal(resurrected.code, 1, said(resurrected));
    assert.match(resurrected.stderr, /^error `bad` failed: .*the second job failed/ms);
  });

  test('restart to a build that listens and then crashes fails in the same way', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs', config: { ...LIMITS, env: BAD } });
    served.deployment.release('bad', 'bad-slots.cjs');
    await assertFails(served.home.covet('restart', 'web'), /before the app was up.*the second job failed/s);
    assert.equal((await served.home.app()).status, 'failed');
  });

  test('scale to workers that crash fails with the reason; the slot is tried on, and the others serve', async (t) => {
    const served = await serveTwo(t, BAD);
    const events = await served.home.events();
    const before = await served.home.pids();
    await assertFails(served.home.covet('scale', 'web', '3'), /worker 2 .*3 times in a row.*the second job failed/s);
    const app = await served.home.app();
    assert.deepEqual([app.wanted, app.status], [3, 'degraded']);
    assert.deepEqual((await served.home.pids()).slice(0, 2), before);
    const tried = startsOf(events, 'web', 2);
    await eventually('the slot to be tried on', () => startsOf(events, 'web', 2) > tried + 1);
    assert.equal((await served.home.app()).status, 'degraded');
    // What cannot be is taken back, and the app recovers.
    const back = await served.home.covet('scale', 'web', '2');
    assert.equal(back.code, 0, said(back));
    await eventually('the app to be online', async () => (await served.home.app()).status === 'online');
    assert.deepEqual(await served.home.pids(), before);
  });

  test('an old worker that uses its restarts up during a reload is not forgotten when the reload fails', async (t) => {
    const restart = { max: 1, delayMs: 10, delayMaxMs: 10 };
    const served = await Served.start(t, { app: 'http.cjs', config: { readyTimeoutMs: 10_000, restart } });
    const events = await served.home.events();
    const isOld = (event: { slot: number; generation: number }): boolean => event.slot === 0 && event.generation === 1;
    served.deployment.release('r2', 'never-listens.cjs');
    const reload = served.home.covet('reload', 'web');
    const started = await events.waitFor('reload.started');
    process.kill((await served.home.pids())[0]!, 'SIGKILL');
    const again = await events.waitFor('slot.changed', (event) => isOld(event) && event.to === 'ready' && event.seq > started.seq);
    process.kill(again.pid, 'SIGKILL');
    await events.waitFor('slot.changed', (event) => isOld(event) && event.to === 'failed');
    await assertFails(reload, /not ready within 10000 ms.* `web` itself has failed meanwhile: .*more than 1 crashes/);
    await eventually('the app to be failed', async () => (await served.home.app()).status === 'failed');
  });

  test('scale to workers that are never ready fails when they could have been', async (t) => {
    // Two crashes of a slot that is not ready in time take longer than scale waits.
    const limits = { minHealthyMs: 200, readyTimeoutMs: 6_000, drainTimeoutMs: 1_000, killTimeoutMs: 1_000, startConcurrency: 3 };
    const served = await serveTwo(t, {}, limits);
    await assertFails(served.home.covet('scale', 'web', '3'), /1 of 3 workers are not ready after 8200 ms/);
    const app = await served.home.app();
    assert.deepEqual([app.wanted, app.status], [3, 'degraded']);
  });
});
