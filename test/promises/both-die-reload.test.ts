/** Both die in the middle of a reload: by what is on disk all of it is old or all of it is new, as after the death of the supervisor alone. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isAlive, killBoth } from './both-die.ts';
import { eventually } from './eventually.ts';
import { resultOf } from './home.ts';
import { processInfo } from './processes.ts';
import { assertNothingLost, said, Served, stopAll } from './served.ts';
import { further, picked } from './tier.ts';

const BEFORE_FLIP = ['prepared', 'started', 'up'] as const;
const AFTER_FLIP = ['written', 'flipped', 'draining'] as const;

describe('death of covet-init and its supervisor at once, inside a reload', () => {
  for (const [points, generation] of [[BEFORE_FLIP, 1] as const, [AFTER_FLIP, 2] as const])
    for (const point of picked<string>(points))
      test(
        `${point}: \`resurrect\` ends the ${generation === 1 ? 'new' : 'old'} workers, takes the others back, and nothing is lost`,
        further,
        async (t) => {
          const served = await Served.start(t, { app: 'http.cjs', env: { COVET_TEST_FAULT: `stop@${point}:2` } });
          const { home } = served;
          const old = await home.pids();
          const both = await home.list();
          const loads = await served.beginAll([
            { client: 'reconnect', connections: 8 },
            { client: 'keepAlive', connections: 8, thinkMs: [0, 20], keeps: point !== 'draining' },
          ]);
          const reload = resultOf(home.spawn(['reload', 'web']), 'reload');
          await eventually('the supervisor to stop there', () => processInfo(both.supervisor.pid)?.state === 'T');
          await killBoth(home, both);
          assert.equal((await reload).code, 1, said(await reload));
          const all = home.processes().map(({ pid }) => pid);
          await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections * 5)));

          const back = await home.covet('resurrect');
          assert.equal(back.code, 0, `${said(back)}\n${home.log()}`);
          await eventually('one generation', async () => {
            const { workers } = await home.app();
            return workers.length === 2 && workers.every((worker) => worker.state === 'ready' && worker.generation === generation);
          });
          assert.equal((await home.app()).generation, generation);
          const kept = await home.pids();
          const others = all.filter((pid) => !kept.includes(pid));
          assert.deepEqual(kept, generation === 1 ? old : all.filter((pid) => !old.includes(pid)));
          await eventually('the others to be gone', () => !others.some(isAlive));
          await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections * 5)));
          await served.reload();
          assert.equal((await home.app()).generation, 3, 'a number is never used twice');
          assertNothingLost(await stopAll(loads));
        },
      );

  test('before the flip of a second reload the kernel gives new workers connections too: they are drained', further, async (t) => {
    const served = await Served.start(t, { app: 'ws-echo.cjs', env: { COVET_TEST_FAULT: 'stop@up:3' } });
    const { home } = served;
    served.deployment.release('r2', 'ws-echo.cjs');
    await served.reload();
    const old = await home.pids();
    const both = await home.list();
    served.deployment.release('r3', 'ws-echo.cjs');
    const reload = resultOf(home.spawn(['reload', 'web']), 'reload');
    await eventually('the supervisor to stop there', () => processInfo(both.supervisor.pid)?.state === 'T');
    await killBoth(home, both);
    assert.equal((await reload).code, 1, said(await reload));
    // One in eight goes to a new worker.
    const loads = await served.beginAll([{ client: 'websocket', connections: 64 }]);
    await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections * 5)));

    const back = await home.covet('resurrect');
    assert.equal(back.code, 0, `${said(back)}\n${home.log()}`);
    await eventually('the new workers to be gone', async () => (await home.pids()).length === old.length);
    assert.deepEqual(await home.pids(), old);
    await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections * 5)));
    const accounts = await stopAll(loads);
    for (const { tally } of accounts) {
      t.diagnostic(`${tally.answered} answered, ${tally.lost} lost; by build ${JSON.stringify(tally.builds)}`);
      assert.deepEqual(Object.keys(tally.builds).toSorted(), ['r2', 'r3'], 'new workers had connections');
    }
    assertNothingLost(accounts);
  });
});
