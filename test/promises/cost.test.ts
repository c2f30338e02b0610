/** The table of docs/reliability.md: who is killed, what a connection was doing, and how many are lost. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { Parked } from '../load/parked.ts';
import { assertCost, type Death, DEATHS, promises } from './cost.ts';
import { eventually } from './eventually.ts';
import { processInfo } from './processes.ts';
import { Served } from './served.ts';

describe('what a death costs', () => {
  test('the table has these rows', () => {
    assert.deepEqual([...promises().keys()], DEATHS);
  });

  test('of the supervisor, of covet-init, of both, and of a worker: what the table says', async (t) => {
    const served = await Served.start(t, { app: 'holds.cjs', config: { instances: 1 } });
    const parked = await Parked.start(served.target);
    t.after(async () => parked.close());
    const parents: readonly ['supervisor' | 'init', Death][] = [
      ['supervisor', 'the supervisor'],
      ['init', 'covet-init'],
    ];
    for (const [who, death] of parents)
      await play(t, served, parked, death, async () => {
        const before = await served.home.list();
        process.kill(before[who].pid, 'SIGKILL');
        await eventually('another supervisor', async () => (await served.home.list()).supervisor.pid !== before.supervisor.pid);
      });
    // Each connection is used before anybody takes the worker back.
    await play(t, served, parked, 'both at once', async () => {
      const { init, supervisor } = await served.home.list();
      for (const { pid } of [init, supervisor]) process.kill(pid, 'SIGKILL');
      await eventually('the end of both', () => [init, supervisor].every(({ pid }) => [undefined, 'Z'].includes(processInfo(pid)?.state)));
    });
    assert.equal((await served.home.covet('resurrect')).code, 0);
    await play(t, served, parked, 'a worker', async () => {
      const [worker = 0] = await served.home.pids();
      process.kill(worker, 'SIGKILL');
      await eventually('its successor', async () => {
        const [successor] = (await served.home.app()).workers;
        return successor?.pid !== worker && successor?.state === 'ready';
      });
    });
  });
});

async function play(t: TestContext, { home }: Served, parked: Parked, death: Death, kill: () => Promise<void>): Promise<void> {
  const [worker = 0] = await home.pids();
  await assertCost(t, death, {
    parked,
    worker,
    kill,
    async signal(signal) {
      process.kill(worker, signal);
      await eventually(`${signal} to be there`, () => (processInfo(worker)?.state === 'T') === (signal === 'SIGSTOP'));
    },
    async queued() {
      const { listeners } = (await home.covet('describe', 'web', '--json')).as('describe');
      return listeners.flatMap(({ queued }) => queued).reduce((sum, n) => sum + n, 0);
    },
  });
}
