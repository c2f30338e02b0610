/**
 * With a cgroup v2 tree of its own covet-pm leaves nothing of an app behind, however it hid, and can say that a worker ended for lack of
 * memory; without one it refuses the limits that it could not keep. On the real hierarchy of this machine, as far as that goes.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { CgroupTree, why } from './cgroup-tree.ts';
import { eventually } from './eventually.ts';
import { Home } from './home.ts';
import { processesWith } from './processes.ts';
import { repositoryRoot } from './root.ts';
import { said, Served, type ServedOptions } from './served.ts';
import { control } from './tier.ts';

const LIMITS = { drainTimeoutMs: 1_000, killTimeoutMs: 500 };
const MEMORY_MAX = 256 * 1_048_576;

/** Served in a tree of its own, which ends after it. */
async function servedIn(t: TestContext, tree: CgroupTree, options: Omit<ServedOptions, 'prefix'>): Promise<Served> {
  return Served.start(t, { ...options, prefix: tree.prefix }).finally(() => t.after(async () => tree.end()));
}

/** Two workers that each left a daemon which nothing but its group leads to. */
async function hidden(t: TestContext, faults = '') {
  const tree = new CgroupTree();
  const name = `hidden-daemon-of-${process.pid}`;
  const env = { COVET_TEST_FAULT: faults };
  const served = await servedIn(t, tree, {
    app: 'hides-daemons.cjs',
    env,
    config: { ...LIMITS, env: { DAEMON: name } },
  });
  const daemons = (): number => processesWith(`done # ${name}`).length;
  await eventually('the daemons to run', () => daemons() === 2);
  return { tree, served, daemons };
}

describe('a cgroup for each app', { skip: why() ?? false }, () => {
  test('stop ends what hid from it, also what ignores SIGTERM, and only what is of that app', async (t) => {
    const { tree, served, daemons } = await hidden(t);
    await served.home.start({
      script: served.deployment.script,
      cwd: served.deployment.folder,
      name: 'other',
      env: { PORT: '0', DAEMON: 'of-other' },
    });
    const events = await served.home.events();
    const result = await served.home.covet('stop', 'web');
    assert.equal(result.code, 0, said(result));
    assert.equal(daemons(), 0);
    assert.equal((await events.waitFor('orphans.swept', ({ app }) => app === 'web')).count >= 2, true);
    assert.equal(processesWith('done # of-other').length, 1);
    assert.equal((await served.home.app('other')).status, 'online');
    assert.equal(existsSync(join(tree.root, 'app-web')), false, 'and its group is gone');
  });

  test('without cgroups it is left behind', control, async (t) => {
    const { served, daemons } = await hidden(t, 'no-cgroups');
    assert.equal((await served.home.covet('stop', 'web')).code, 0);
    assert.equal(daemons(), 2);
  });

  test('one worker that ends takes nothing of another along, and its successor is born in the group', async (t) => {
    const { tree, served, daemons } = await hidden(t);
    const [first, second] = await served.home.pids();
    process.kill(first!, 'SIGKILL');
    await eventually('a successor', async () => {
      const pids = await served.home.pids();
      return pids.length === 2 && !pids.includes(first!) && daemons() === 3;
    });
    const pids = await served.home.pids();
    assert.equal(pids[1], second);
    for (const pid of pids)
      assert.match(readFileSync(`/proc/${pid}/cgroup`, 'utf8'), new RegExp(`${tree.root.split('/').at(-1)!}/app-web$`, 'm'));
  });

  test('the next supervisor finds the group again', async (t) => {
    const { tree, served, daemons } = await hidden(t);
    const { supervisor } = await served.home.list();
    process.kill(supervisor.pid, 'SIGKILL');
    await eventually('the next supervisor', async () => (await served.home.list()).supervisor.pid !== supervisor.pid);
    const { findings } = (await served.home.covet('doctor', '--json')).as('doctor');
    assert.match(findings.find(({ what }) => what === 'cgroups')?.found ?? '', new RegExp(`^v2 at ${tree.root}, `));
    assert.equal((await served.home.covet('delete', 'web')).code, 0);
    assert.equal(daemons(), 0);
  });
});

describe('limits of an app', () => {
  test(
    'memoryMaxBytes: the worker that wants more is ended by the kernel, and `oom` is said of it',
    { skip: why({ memory: true }) ?? false },
    async (t) => {
      const tree = new CgroupTree({ memory: true });
      const config = { memoryMaxBytes: MEMORY_MAX, memoryHighBytes: MEMORY_MAX, instances: 1 };
      const served = await servedIn(t, tree, { app: 'leaks.cjs', config });
      assert.equal(readFileSync(join(tree.root, 'app-web/memory.max'), 'utf8'), `${MEMORY_MAX}\n`);
      const events = await served.home.events();
      const [pid] = await served.home.pids();
      const leaking = get({ host: '127.0.0.1', port: served.port, path: '/leak' }).on('error', () => {});
      const exit = await events.waitFor('worker.exited', (event) => event.pid === pid);
      leaking.destroy();
      assert.deepEqual([exit.signal, exit.oom], ['SIGKILL', true]);
      await eventually('a successor', async () => (await served.home.pids()).some((each) => each !== pid));
      const killed = (await served.home.pids())[0]!;
      assert.match((await served.home.covet('describe', 'web', '--json')).as('describe').lastExit ?? '', /out of memory \(oom\)/);
      process.kill(killed, 'SIGKILL');
      const other = await events.waitFor('worker.exited', (event) => event.pid === killed);
      assert.equal(other.oom, false, 'a SIGKILL of anybody else is not');
      assert.equal((await served.home.covet('stop', 'web')).code, 0);
      const { memoryHighBytes: _high, ...less } = config;
      await served.home.start({
        ...less,
        memoryMaxBytes: MEMORY_MAX * 2,
        script: served.deployment.script,
        cwd: served.deployment.folder,
        env: { PORT: String(served.port) },
      });
      assert.equal(readFileSync(join(tree.root, 'app-web/memory.max'), 'utf8'), `${MEMORY_MAX * 2}\n`, 'a new start changes them');
      assert.equal(readFileSync(join(tree.root, 'app-web/memory.high'), 'utf8'), 'max\n');
    },
  );

  test('are refused where the host gives none, with why; and so is a pair that makes no sense', async (t) => {
    const home = Home.open(t);
    const script = join(repositoryRoot(), 'test/fixtures/apps/http.cjs');
    const refused = await home.tryStart({ script, memoryMaxBytes: MEMORY_MAX });
    assert.equal(refused.code, 1, said(refused));
    assert.match(refused.stderr + refused.stdout, /COVET_ERR_CGROUP|`memoryMaxBytes` of `web` needs a cgroup v2 tree/);
    assert.deepEqual((await home.list()).apps, []);
    await home.start({ script, env: { PORT: '0' } });
    await home.covet('stop', 'web');
    assert.equal((await home.tryStart({ script, env: { PORT: '0' }, memoryMaxBytes: MEMORY_MAX })).code, 1);
    const again = await home.covet('start', 'web');
    assert.equal(again.code, 0, `what was refused is not kept: ${said(again)}`);
    const senseless = await home.tryStart({ script, memoryMaxBytes: MEMORY_MAX, memoryHighBytes: MEMORY_MAX * 2 });
    assert.equal(senseless.code, 2, said(senseless));
    assert.match(senseless.stderr + senseless.stdout, /never be reached/);
  });
});
