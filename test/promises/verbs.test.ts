/**
 * Verbs that meet: whatever comes while another is under way is answered, and what runs afterwards is what was asked for last. Also what
 * no worker may do to the supervisor, and what a supervisor that died leaves to the next.
 */
import assert from 'node:assert/strict';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { eventually } from './eventually.ts';
import { Home, resultOf, SHORT } from './home.ts';
import { freePort } from './ports.ts';
import { repositoryRoot } from './root.ts';
import { said } from './served.ts';

const fixture = (name: string): string => join(repositoryRoot(), 'test', 'fixtures', 'apps', name);

async function started(t: TestContext, instances: number): Promise<{ home: Home; port: number }> {
  const home = Home.open(t);
  const port = await freePort();
  await home.start({ script: fixture('http.cjs'), name: 'web', instances, env: { PORT: String(port) }, ...SHORT });
  return { home, port };
}

/** Slots that are ready, of the wanted number. */
async function ready(home: Home): Promise<string> {
  const app = await home.app();
  return `${app.status} ${app.workers.filter((worker) => worker.state === 'ready').length}/${app.wanted}`;
}

describe('verbs that meet', () => {
  test('scaled down and up again within a drain, every slot serves', async (t) => {
    const { home } = await started(t, 4);
    const scaledDown = home.covet('scale', 'web', '2');
    await eventually('two workers to be wanted', async () => (await home.app()).wanted === 2);
    const [down, up] = await Promise.all([scaledDown, home.covet('scale', 'web', '4')]);
    assert.deepEqual([down.code, up.code], [0, 0], `${said(down)} ${said(up)}`);
    await eventually('four ready workers', async () => (await ready(home)) === 'online 4/4');
  });

  test('a stop answers a scale that waits, and the next start is its own', async (t) => {
    const { home } = await started(t, 1);
    const scaled = home.covet('scale', 'web', '3');
    await eventually('three slots', async () => (await home.app()).workers.length === 3);
    assert.equal((await home.covet('stop', 'web')).code, 0);
    const result = await scaled;
    assert.ok(result.code === 0 || /stopped meanwhile/.test(result.stderr), said(result));
    assert.equal((await home.covet('start', 'web')).code, 0);
    assert.equal(await ready(home), 'online 3/3');
  });

  test('of two restarts of a stopped app one is refused, and no worker is there twice', async (t) => {
    const { home } = await started(t, 2);
    await home.covet('stop', 'web');
    const codes = await Promise.all([home.covet('restart', 'web'), home.covet('restart', 'web')]);
    assert.ok(
      codes.some(({ code }) => code === 0),
      codes.map(said).join(' '),
    );
    assert.equal(await ready(home), 'online 2/2');
    const workers = home.processes().filter(({ command }) => command.includes('http.cjs'));
    assert.equal(workers.length, 2);
  });

  for (const verb of ['stop', 'delete'] as const) {
    test(`a ${verb} that comes while a start is prepared ends it`, async (t) => {
      const { home, port } = await started(t, 2);
      await home.covet('stop', 'web');
      const client = await home.client();
      // Both on one connection: the second is read before the first has been to the disk.
      const outcomes = await Promise.allSettled([client.call('startStopped', { app: 'web' }), client.call(verb, { app: 'web' })]);
      assert.equal(outcomes[1].status, 'fulfilled');
      const probe = createServer();
      await eventually('the port to be free', async () => {
        const isFree = await new Promise<boolean>((resolve) => probe.once('error', () => resolve(false)).listen(port, () => resolve(true)));
        if (isFree) probe.close();
        return isFree;
      });
      assert.deepEqual(
        home.processes().filter(({ command }) => command.includes('http.cjs')),
        [],
      );
    });
  }

  test('an address of `listen` that is taken is named, and nothing stays open', async (t) => {
    const home = Home.open(t);
    const [free, taken] = [await freePort(), await freePort()];
    const holder = createServer().listen(taken);
    t.after(() => holder.close());
    const result = await home.tryStart({ script: fixture('http.cjs'), name: 'web', listen: [`tcp://[::]:${free}`, `tcp://[::]:${taken}`] });
    assert.equal(result.code, 1, said(result));
    assert.match(result.stdout + result.stderr, new RegExp(`:${taken} cannot be opened: EADDRINUSE`));
    assert.deepEqual((await home.list()).apps, []);
    const probe = createServer();
    await new Promise<void>((resolve, reject) => probe.once('error', reject).listen(free, resolve));
    probe.close();
  });
});

describe('a supervisor that dies', () => {
  test('together with one of its workers is followed by one that runs what was wanted', async (t) => {
    const { home } = await started(t, 2);
    const { supervisor } = await home.list();
    const [worker = 0] = await home.pids();
    process.kill(supervisor.pid, 'SIGKILL');
    process.kill(worker, 'SIGKILL');
    await eventually('two ready workers of another supervisor', async () => {
      const list = await home.covet('list', '--json');
      if (list.code !== 0) return false;
      const [app] = list.as('list').apps;
      return (
        list.as('list').supervisor.pid !== supervisor.pid && app?.status === 'online' && !app.workers.some(({ pid }) => pid === worker)
      );
    });
  });
});

describe('the supervisor’s log', () => {
  test('says who asked for a change, before what became of it, and nothing of who only reads', async (t) => {
    const { home } = await started(t, 1);
    const asking = home.spawn(['scale', 'web', '2']);
    assert.equal((await resultOf(asking, 'scale')).code, 0);
    assert.equal((await home.covet('stop', 'nobody')).code, 1);
    await home.list();
    const log = home.log();
    const uid = process.getuid!();
    assert.match(log, new RegExp(`^\\d{4}-\\S+Z web: start was asked for by uid ${uid}, pid \\d+ \\([^)]+\\)$`, 'm'));
    assert.match(log, new RegExp(`^\\d{4}-\\S+Z web: scale was asked for by uid ${uid}, pid ${asking.pid} \\([^)]+\\)$`, 'm'));
    assert.match(log, new RegExp(`^\\d{4}-\\S+Z nobody: stop was asked for by uid ${uid}, pid \\d+ `, 'm'));
    assert.equal(log.match(/asked for/g)?.length, 3, log);
  });
});

describe('a covet-init whose supervisor cannot run', () => {
  test('is told apart from none, and ended by kill with its workers', async (t) => {
    const { home } = await started(t, 2);
    const { supervisor, init } = await home.list();
    const [version = ''] = readdirSync(join(home.path, 'versions')).filter((name) => name.includes('-'));
    writeFileSync(join(home.path, 'versions', version, 'dist', 'supervisor.mjs'), 'process.exit(1);\n');
    process.kill(supervisor.pid, 'SIGKILL');
    const down = new RegExp(`^error covet-init runs as pid ${init.pid}, but its supervisor does not answer: see .*supervisor\\.log\\.`);
    // At once: each waits for a supervisor that may yet come.
    const [doctor, ...others] = await Promise.all(['doctor', 'ping', 'list'].map((verb) => home.covet(verb)));
    for (const result of others) {
      assert.equal(result.code, 1, said(result));
      assert.match(result.stderr, down);
    }
    assert.match(doctor!.stdout, /supervisor +does not answer/);
    const killed = await home.covet('kill');
    assert.equal(killed.code, 0, said(killed));
    assert.match(killed.stderr, /covet-init, whose supervisor did not answer, and its workers ended/);
    assert.deepEqual(home.processes(), []);
    // The dead supervisor's own; the next one makes its own in its place.
    rmSync(join(home.path, 'run', 'control.sock'), { force: true });
  });
});

describe('a worker', () => {
  test('that sends a descriptor of the wrong kind fails alone', async (t) => {
    const { home } = await started(t, 1);
    const { supervisor } = await home.list();
    const events = await home.events();
    const port = await freePort();
    await home.tryStart({
      script: fixture('hostile-descriptors.cjs'),
      name: 'hostile',
      env: { PORT: String(port) },
      ...SHORT,
      instances: 1,
      // It is killed each time it has served: without a limit it would be started for ever.
      restart: { delayMs: 10, delayMaxMs: 10, max: 1 },
    });
    const { reason } = await events.waitFor('worker.misbehaved', (event) => event.app === 'hostile');
    assert.match(reason, /another descriptor/);
    assert.equal((await home.list()).supervisor.pid, supervisor.pid);
    assert.equal(await ready(home), 'online 1/1');
  });
});
