/**
 * covet-init is killed when a worker runs already that nobody but its own report tells of. The next one has it started anew; it must not
 * run twice, which an app without a port would never notice.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DEADLINE_MS, eventually } from './eventually.ts';
import { Home } from './home.ts';
import { repositoryRoot } from './root.ts';

const CONFIG = { script: join(repositoryRoot(), 'test/fixtures/apps/never-listens.cjs'), name: 'queue', instances: 1, minHealthyMs: 100 };
const TRIES_MAX = 20;

/** Stops covet-init between its answer and what covet-exec tells it, which takes a millisecond: so it may need more than one scale. */
async function stopInit(home: Home, { init, supervisor }: { init: number; supervisor: number }): Promise<ChildProcess> {
  const children = (): string => readFileSync(`/proc/${supervisor}/task/${supervisor}/children`, 'utf8');
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const before = children();
    const scaling = home.spawn(['scale', 'queue', '2']);
    const end = performance.now() + DEADLINE_MS;
    while (children() === before && scaling.exitCode === null && performance.now() < end) await new Promise(setImmediate);
    process.kill(init, 'SIGSTOP');
    if (scaling.exitCode === null) return scaling;
    process.kill(init, 'SIGCONT');
    assert.equal((await home.covet('scale', 'queue', '1')).code, 0);
  }
  throw new Error(`Expected to see covet-exec within ${TRIES_MAX} scales`);
}

test('a worker that was being spawned when covet-init was killed runs once', async (t) => {
  const home = Home.open(t);
  await home.start(CONFIG);
  const { init, supervisor } = await home.list();
  const running = (): number[] => home.processes().flatMap(({ pid, command }) => (command.endsWith('never-listens.cjs') ? [pid] : []));
  const [first] = running();
  const scaling = await stopInit(home, { init: init.pid, supervisor: supervisor.pid });
  await eventually('the second worker to run', () => running().length === 2);
  process.kill(init.pid, 'SIGKILL');
  await eventually('both to be known', async () => {
    const { init: now, apps } = await home.list();
    return now.pid !== init.pid && apps[0]!.workers.filter(({ state }) => state === 'ready').length === 2;
  });
  scaling.kill('SIGKILL');
  const known = (await home.list()).apps[0]!.workers.map(({ pid }) => pid);
  assert.deepEqual(new Set(running()), new Set(known));
  assert.ok(known.includes(first!), 'the other one goes on');
});
