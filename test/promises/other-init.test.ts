/**
 * Two releases' covet-inits take each other's place in one process, there and back, and either works with the supervisor of either. What one of them
 * says that the other has never heard of is ignored, and its descriptors are let go.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { assertCounted } from './counted.ts';
import { eventually } from './eventually.ts';
import { type Home, SHORT } from './home.ts';
import { LATER_DESCRIPTOR, laterInit, withInit } from './other-init.ts';
import { laterRelease } from './other-release.ts';
import { packageOf } from './package-of.ts';
import type { Cell } from './reload-cells.ts';
import { repositoryRoot } from './root.ts';
import { assertNothingLost, said, Served, stopAll } from './served.ts';
import { ALL } from './tier.ts';

const TIMES = 3;
const APPS = join(repositoryRoot(), 'test/fixtures/apps');
const OWN = join(repositoryRoot(), `prebuilds/linux-${process.arch}/covet-init`);
const CLIENTS: readonly Cell[] = [
  { client: 'reconnect', connections: 8 },
  { client: 'keepAlive', connections: 8, thinkMs: [0, 20], keeps: true },
  { client: 'websocket', connections: 8, keeps: true },
];

async function done(home: Home, ...args: readonly string[]): Promise<void> {
  const result = await home.covet(...args);
  assert.equal(result.code, 0, `${said(result)}\n${home.log()}`);
}

/** By what the process is, not by what it is called. */
async function assertRuns(home: Home, program: string): Promise<void> {
  const { init } = await home.list();
  assert.ok(readFileSync(`/proc/${init.pid}/exe`).equals(readFileSync(program)), `Expected covet-init to be ${program}`);
}

/** Of what this release does not know: how many descriptors of it a process has. */
function laterDescriptors(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((fd) => leadsTo(join(folder, fd)) === LATER_DESCRIPTOR).length;
}

function leadsTo(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null; // closed meanwhile
  }
}

describe('covet-init of another version', { skip: ALL ? false : 'compiles a covet-init of its own; with --all' }, () => {
  for (const [supervisor, make] of [
    ['its own', laterRelease],
    ["this release's", packageOf],
  ] as const)
    test(`one that knows more, with ${supervisor} supervisor, and this one take each other's place under load, and nothing is lost`, async (t) => {
      const init = laterInit();
      const served = await Served.start(t, {
        app: 'ws-echo.cjs',
        env: { COVET_TEST_FAULT: 'no-safe-mode' },
        config: { env: { PUSH_MS: '2000' } },
      });
      const { home } = served;
      // Few enough lines that no log is rotated away.
      await home.start({ ...SHORT, name: 'counts', script: join(APPS, 'counts.cjs'), instances: 2, env: { PORT: '0', LINES: '1' } });
      const later = withInit(make(home.work, '0.2.0'), init);
      const workers = async (): Promise<number[]> => [...(await home.pids()), ...(await home.pids('counts'))];
      const [pids, first] = [await workers(), await home.list()];
      const loads = await served.beginAll(CLIENTS);
      const sameWorkers = async (when: string): Promise<void> => {
        await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections * 2)));
        assert.deepEqual(await workers(), pids, when);
      };
      const isAnother = async (who: 'init' | 'supervisor', pid: number): Promise<void> => {
        process.kill(pid, 'SIGKILL');
        await eventually(`another ${who}`, async () => (await home.list())[who].pid !== pid);
      };

      for (let time = 0; time < TIMES; time++) {
        await done(home, 'upgrade', '--to', later);
        await assertRuns(home, init);
        assert.equal((await home.list()).init.pid, first.init.pid);
        await sameWorkers(`upgrade ${time + 1}`);
        await isAnother('supervisor', (await home.list()).supervisor.pid);
        // An app's whole life.
        await home.start({ ...SHORT, name: 'third', script: join(APPS, 'http.cjs'), instances: 2, env: { PORT: '0' } });
        await done(home, 'reload', 'third');
        await done(home, 'delete', 'third');
        await sameWorkers(`life ${time + 1}`);
        assert.equal(laterDescriptors((await home.list()).supervisor.pid), 0, 'a supervisor keeps what it does not know');

        await done(home, 'upgrade', '--back');
        await assertRuns(home, OWN);
        assert.equal((await home.list()).init.pid, first.init.pid);
        await sameWorkers(`return ${time + 1}`);
        assert.equal(laterDescriptors(first.init.pid), 0, 'covet-init keeps what it does not know');
      }
      // It dies, and its supervisor becomes the next one of the same release.
      await done(home, 'upgrade', '--to', later);
      await isAnother('init', first.init.pid);
      await assertRuns(home, init);
      await sameWorkers('death');
      await done(home, 'upgrade', '--back');
      await assertRuns(home, OWN);
      await sameWorkers('return after the death');

      const accounts = await stopAll(loads);
      for (const { cell, tally } of accounts)
        t.diagnostic(`${cell.client}: ${tally.answered} answered, ${tally.lost} lost, ${tally.opened} connections opened`);
      assertNothingLost(accounts);
      await done(home, 'stop', 'counts');
      for (const [slot, counts] of assertCounted(home, 'counts'))
        t.diagnostic(`counts, slot ${slot}: ${counts.at(-1)} lines, none missing`);
    });
});
