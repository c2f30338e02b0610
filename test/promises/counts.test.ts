/**
 * The headline of what may die, counted: so many deaths of the supervisor, upgrades and returns, one after the other, under clients that connect anew,
 * keep their connections, and hold WebSockets. Nothing is lost, nothing is closed, the workers are the same ones throughout, and of what they print
 * no line is missing.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { assertCounted } from './counted.ts';
import { eventually } from './eventually.ts';
import { SHORT } from './home.ts';
import { packageOf } from './package-of.ts';
import type { Cell } from './reload-cells.ts';
import { repositoryRoot } from './root.ts';
import { assertNothingLost, said, Served, stopAll } from './served.ts';
import { ALL, isAgain } from './tier.ts';

const DEATHS = ALL ? 50 : 2;
const UPGRADES = ALL ? 20 : 1;
const RETURNS = ALL ? 10 : 1;
const CLIENTS: readonly Cell[] = [
  { client: 'reconnect', connections: 8 },
  { client: 'keepAlive', connections: 16, thinkMs: [0, 50], keeps: true },
  { client: 'websocket', connections: ALL ? 200 : 50, thinkMs: [100, 500], keeps: true },
];

/** What uid and Node change of it, adoption.test.ts and upgrade.test.ts show. */
describe('counted', { skip: isAgain ? 'shown by the first run' : false }, () => {
  test(`${DEATHS} deaths of the supervisor, ${UPGRADES} upgrades, ${RETURNS} returns: 0 lost, 0 closed, the same workers, no line missing`, async (t) => {
    const served = await Served.start(t, {
      app: 'ws-echo.cjs',
      env: { COVET_TEST_FAULT: 'no-safe-mode' },
      config: { env: { PUSH_MS: '2000' } },
    });
    const { home } = served;
    const script = join(repositoryRoot(), 'test/fixtures/apps/counts.cjs');
    // Few enough lines that no log is rotated away.
    await home.start({ ...SHORT, name: 'counts', script, instances: 2, env: { PORT: '0', LINES: '1' } });
    const workers = async (): Promise<number[]> => (await home.list()).apps.flatMap((app) => app.workers.map(({ pid }) => pid));
    const pids = await workers();
    const loads = await served.beginAll(CLIENTS);
    // In a circle: whatever was returned from, the next one is another.
    const versions = ['0.2.0', '0.3.0', '0.4.0'].map((version) => packageOf(home.work, version));
    const after = async (what: string): Promise<void> => {
      await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections)));
      assert.deepEqual(await workers(), pids, what);
    };
    for (let death = 0; death < DEATHS; death++) {
      const { pid } = (await home.list()).supervisor;
      process.kill(pid, 'SIGKILL');
      await eventually('another supervisor', async () => (await home.list()).supervisor.pid !== pid);
      await after(`death ${death + 1}`);
    }
    for (let time = 0; time < UPGRADES; time++) {
      const upgraded = await home.covet('upgrade', '--to', versions[time % versions.length]!);
      assert.equal(upgraded.code, 0, `${said(upgraded)}\n${home.log()}`);
      await after(`upgrade ${time + 1}`);
      if (time >= RETURNS) continue;
      const back = await home.covet('upgrade', '--back');
      assert.equal(back.code, 0, `${said(back)}\n${home.log()}`);
      await after(`return ${time + 1}`);
    }
    const accounts = await stopAll(loads);
    for (const { cell, tally } of accounts)
      t.diagnostic(`${cell.client}: ${tally.answered} answered, ${tally.lost} lost, ${tally.opened} connections opened`);
    assertNothingLost(accounts);
    assert.equal((await home.covet('stop', 'counts')).code, 0);
    for (const [slot, counts] of assertCounted(home, 'counts'))
      t.diagnostic(`counts, slot ${slot}: ${counts.at(-1)} lines, none missing, ${counts.length - new Set(counts).size} twice`);
  });
});
