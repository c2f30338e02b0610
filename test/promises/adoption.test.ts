/**
 * A supervisor that dies costs nothing: covet-init starts the next one, and that one takes over what runs. Each worker keeps its pid and
 * its connections, every line it writes is in its log, and what was under way ends in a state that somebody asked for.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { assertCounted } from './counted.ts';
import { eventually } from './eventually.ts';
import { type Home, SHORT } from './home.ts';
import { processInfo } from './processes.ts';
import { repositoryRoot } from './root.ts';
import { assertNothingLost, said, Served, stopAll } from './served.ts';
import { ALL, control, further, isRoot, picked, SEED } from './tier.ts';

const DEATHS = ALL ? 20 : 3;
/** Worker and supervisor killed within so long of each other. */
const APART_MS_MAX = 90;
const DOUBLE_DEATHS = ALL ? 16 : 2;

const isAlive = (pid: number): boolean => processInfo(pid) !== null;

async function killSupervisor(home: Home): Promise<void> {
  const { pid } = (await home.list()).supervisor;
  process.kill(pid, 'SIGKILL');
  await anotherSupervisor(home, pid);
}

async function anotherSupervisor(home: Home, pid: number): Promise<void> {
  await eventually('another supervisor', async () => (await home.list()).supervisor.pid !== pid);
}

async function bothReady(home: Home): Promise<void> {
  await eventually('both slots to be served', async () => {
    const { status, workers } = await home.app();
    return status === 'online' && workers.length === 2 && workers.every(({ state }) => state === 'ready');
  });
}

/** Else it would be safe mode that so many deaths lead to. */
const OFTEN = { COVET_TEST_FAULT: 'no-safe-mode' };

describe('death of the supervisor', () => {
  test('under load nothing is lost, and the workers and their connections are the same ones', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs', env: OFTEN });
    const pids = await served.home.pids();
    const loads = await served.beginAll([
      { client: 'reconnect', connections: 16 },
      { client: 'keepAlive', connections: 16, thinkMs: [0, 20], keeps: true },
    ]);
    for (let death = 0; death < DEATHS; death++) {
      await killSupervisor(served.home);
      await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections * 2)));
      assert.deepEqual(await served.home.pids(), pids, `death ${death + 1}`);
    }
    const app = await served.home.app();
    assert.deepEqual(
      [app.status, app.generation, ...app.workers.map(({ state, restarts }) => `${state} ${restarts}`)],
      ['online', 1, 'ready 0', 'ready 0'],
    );
    await served.reload();
    assertNothingLost(await stopAll(loads));
  });

  test('without adoption the same clients see it', control, async (t) => {
    const served = await Served.start(t, { app: 'http.cjs', env: { COVET_TEST_FAULT: 'no-adoption' } });
    const loads = await served.beginAll([
      { client: 'reconnect', connections: 16 },
      { client: 'keepAlive', connections: 16, thinkMs: [0, 20] },
    ]);
    await killSupervisor(served.home);
    await bothReady(served.home);
    for (const { cell, tally } of await stopAll(loads)) assert.ok(tally.lost > 0, `${cell.client}: ${JSON.stringify(tally)}`);
  });

  test('no line is lost: what each worker counts has no gap in its log', async (t) => {
    const served = await Served.start(t, { app: 'counts.cjs', env: OFTEN });
    for (let death = 0; death < DEATHS; death++) await killSupervisor(served.home);
    assert.equal((await served.home.covet('stop', 'web')).code, 0);
    for (const [slot, counts] of assertCounted(served.home, 'web')) {
      const repeated = counts.length - new Set(counts).size;
      t.diagnostic(`slot ${slot}: ${counts.length} lines, ${repeated} of them twice, through ${DEATHS} deaths`);
      assert.ok(counts.length > 1_000);
    }
  });

  test('a worker and the supervisor that die together are both replaced, in whichever order', async (t) => {
    // Each death counts as a crash, so many in a row that the pauses would grow.
    const restart = { delayMs: 10, delayMaxMs: 50, intensity: 1_000 };
    const served = await Served.start(t, { app: 'http.cjs', config: { restart }, env: OFTEN });
    const load = await served.begin({ kind: 'reconnect', connections: 4 });
    for (let round = 0; round < DOUBLE_DEATHS; round++) {
      const { supervisor, apps } = await served.home.list();
      const victim = apps[0]!.workers[Math.floor(round / 2) % 2]!;
      const [first, second] = round % 2 === 0 ? [victim.pid, supervisor.pid] : [supervisor.pid, victim.pid];
      process.kill(first, 'SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, ((SEED + round * 37) % APART_MS_MAX) + 1));
      process.kill(second, 'SIGKILL');
      await anotherSupervisor(served.home, supervisor.pid);
      await bothReady(served.home);
      const after = (await served.home.app()).workers;
      assert.notEqual(after[victim.slot]!.pid, victim.pid);
      assert.equal(after[1 - victim.slot]!.pid, apps[0]!.workers[1 - victim.slot]!.pid, 'the other one is the same');
      const { lastExit } = (await served.home.covet('describe', 'web', '--json')).as('describe');
      assert.match(lastExit ?? '', new RegExp(`pid ${victim.pid}\\) .*SIGKILL`), 'its end is known');
      await load.more(20);
    }
    // Only what the dead worker had accepted: nothing was refused, and nothing waited for ever.
    const { refused, timeout, status, body, protocol } = (await load.stop()).lostBy;
    assert.deepEqual({ refused, timeout, status, body, protocol }, { refused: 0, timeout: 0, status: 0, body: 0, protocol: 0 });
  });

  const beforeFlip = ['prepared', 'started', 'up'] as const;
  const afterFlip = ['written', 'flipped', 'draining'] as const;
  for (const point of [...picked(beforeFlip), ...picked(afterFlip)]) {
    test(`inside a reload, ${point}: all of it is old or all of it is new`, further, async (t) => {
      const served = await Served.start(t, { app: 'http.cjs', env: { COVET_TEST_FAULT: `die@${point}:2` } });
      const old = await served.home.pids();
      const loads = await served.beginAll([
        { client: 'reconnect', connections: 8 },
        { client: 'keepAlive', connections: 8, thinkMs: [0, 20], keeps: point !== 'draining' },
      ]);
      const { pid } = (await served.home.list()).supervisor;
      const reload = await served.home.covet('reload', 'web');
      assert.equal(reload.code, 1, said(reload));
      await anotherSupervisor(served.home, pid);
      await bothReady(served.home);
      const isOld = (beforeFlip as readonly string[]).includes(point);
      const app = await served.home.app();
      assert.equal(app.generation, isOld ? 1 : 2);
      if (isOld) assert.deepEqual(await served.home.pids(), old);
      else await eventually('the old workers to be gone', () => old.every((worker) => !isAlive(worker)));
      await Promise.all(loads.map(async ({ load }) => load.more(50)));
      await served.reload();
      assert.equal((await served.home.app()).generation, 3, 'a number is never used twice');
      assertNothingLost(await stopAll(loads));
    });
  }

  test('what was stopped stays so, and a stop that was under way ends', async (t) => {
    const served = await Served.start(t, { app: 'ignores-sigterm.cjs', config: { killTimeoutMs: 1_000, drainTimeoutMs: 1_000 } });
    const { home } = served;
    await home.start({ name: 'rests', script: served.deployment.script, cwd: served.deployment.folder, env: { PORT: '0' } });
    assert.equal((await home.covet('stop', 'rests')).code, 0);
    const workers = await home.pids();
    const { pid } = (await home.list()).supervisor;
    const stopping = home.covet('stop', 'web');
    await eventually('the stop to be under way', async () => (await home.app()).status === 'stopping');
    process.kill(pid, 'SIGKILL');
    await stopping;
    await anotherSupervisor(home, pid);
    await eventually('the app to be stopped', async () => (await home.app()).status === 'stopped');
    assert.deepEqual(workers.filter(isAlive), []);
    assert.equal((await home.app('rests')).status, 'stopped');
  });

  test('what sleeps since a kill sleeps on', further, async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const { home } = served;
    assert.equal((await home.covet('kill')).code, 0);
    await home.start({ ...SHORT, name: 'other', script: served.deployment.script, cwd: served.deployment.folder, env: { PORT: '0' } });
    await killSupervisor(home);
    await eventually('the other app to be taken over', async () => (await home.app('other')).status === 'online');
    assert.equal((await home.app()).status, 'stopped');
    assert.equal((await home.covet('resurrect')).code, 0);
    assert.equal((await home.app()).status, 'online');
  });

  test('a delete that was under way ends, and what was in flight is answered', further, async (t) => {
    const served = await Served.start(t, { app: 'slow-3s.cjs' });
    const { home } = served;
    const { pid } = (await home.list()).supervisor;
    const client = await home.client();
    const request = get({ port: served.port });
    const answered = once(request, 'response') as Promise<[IncomingMessage]>;
    await once(request, 'finish');
    await eventually('the request to be accepted', async () =>
      (await client.describe({ app: 'web' })).listeners.every(({ queued }) => queued.every((n) => n === 0)),
    );
    const deleting = home.covet('delete', 'web');
    await eventually('the delete to be under way', async () => (await client.list()).apps[0]?.status === 'stopping');
    process.kill(pid, 'SIGKILL');
    const [answer] = await answered;
    assert.equal(answer.statusCode, 200);
    answer.resume();
    await deleting;
    await eventually('the app to be gone', async () => (await home.list()).apps.length === 0);
    assert.equal((await home.covet('kill')).code, 0);
    assert.equal((await home.covet('resurrect')).code, 0);
    assert.deepEqual((await home.list()).apps, []);
  });

  test('an app that failed is not tried again, and one that crashes keeps its history', further, async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const { home } = served;
    served.deployment.release('r2', 'throws-at-import.cjs');
    const failing = await home.tryStart({
      name: 'fails',
      script: served.deployment.script,
      cwd: served.deployment.folder,
      env: { PORT: '0' },
      restart: { startsMax: 1, delayMs: 1 },
    });
    assert.equal(failing.code, 1);
    assert.equal((await home.app('fails')).status, 'failed');
    const [victim = 0] = await home.pids();
    served.deployment.release('r3', 'http.cjs');
    process.kill(victim, 'SIGKILL');
    await eventually('the successor', async () => (await home.app()).workers[0]!.pid !== victim);
    await bothReady(home);
    await killSupervisor(home);
    assert.equal((await home.app('fails')).status, 'failed');
    assert.deepEqual(
      (await home.app()).workers.map(({ restarts }) => restarts),
      [1, 0],
    );
    const started = await home.covet('start', 'fails');
    assert.equal(started.code, 0, said(started));
  });

  test('after three deaths within a minute the next one starts nothing until it is told to', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const { home } = served;
    const { script } = served.deployment;
    await home.start({ ...SHORT, name: 'other', script, cwd: served.deployment.folder, env: { PORT: '0' } });
    const running = await home.pids();
    served.deployment.release('r2', 'never-listens.cjs');
    const reload = home.covet('reload', 'web');
    await eventually('the reload to be under way', async () => (await home.app()).status === 'reloading');
    for (let death = 0; death < 3; death++) await killSupervisor(home);
    assert.equal((await reload).code, 1);

    assert.equal((await home.list()).supervisor.safeMode, true);
    assert.deepEqual(await home.pids(), running, 'what ran runs on');
    const load = await served.begin({ kind: 'reconnect', connections: 4 });
    const [victim = 0] = await home.pids('other');
    process.kill(victim, 'SIGKILL');
    await eventually('its end to be known', async () => (await home.pids('other')).length === 0);
    for (const command of [
      ['reload', 'web'],
      ['start', script, '--name', 'third'],
      ['restart', 'other'],
      ['scale', 'web', '3'],
    ]) {
      const refused = await home.covet(...command);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /safe mode/);
    }
    assert.match((await home.covet('list')).stderr, /safe mode/);
    assert.match((await home.covet('doctor')).stdout, /web: set aside +`reload`/);

    assert.equal((await home.covet('resurrect')).code, 0);
    assert.equal((await home.list()).supervisor.safeMode, false);
    await eventually('the other app to be looked after again', async () => (await home.app('other')).workers[0]?.state === 'ready');
    served.deployment.release('r3', 'http.cjs');
    assert.equal((await home.covet('reload', 'web')).code, 0, 'who is named is no longer set aside');
    assert.equal((await load.stop()).lost, 0);
  });
});

describe('death of covet-init', () => {
  test('its supervisor takes its place in its own process, and nothing is lost, three times in a row', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs', env: OFTEN });
    const { home } = served;
    await home.start({ ...SHORT, name: 'counts', script: join(repositoryRoot(), 'test/fixtures/apps/counts.cjs'), env: { PORT: '0' } });
    const [pids, counting] = [await home.pids(), await home.pids('counts')];
    const loads = await served.beginAll([
      { client: 'reconnect', connections: 16 },
      { client: 'keepAlive', connections: 16, thinkMs: [0, 20], keeps: true },
    ]);
    for (let death = 0; death < 3; death++) {
      const { init, supervisor } = await home.list();
      process.kill(init.pid, 'SIGKILL');
      await anotherSupervisor(home, supervisor.pid);
      assert.equal((await home.list()).init.pid, supervisor.pid, 'who was the supervisor is covet-init');
      await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections * 2)));
      assert.deepEqual([await home.pids(), await home.pids('counts')], [pids, counting]);
    }
    // It is as good as the first: a worker that ends is followed, a supervisor that dies too, and a reload loses nothing.
    process.kill(counting[0]!, 'SIGKILL');
    await eventually('the successor', async () => {
      const [worker] = (await home.app('counts')).workers;
      return worker?.pid !== counting[0] && worker?.state === 'ready';
    });
    await killSupervisor(home);
    await served.reload();
    assertNothingLost(await stopAll(loads));
    assert.equal((await home.covet('stop', 'counts')).code, 0);
    assertCounted(home, 'counts');
  });

  test(
    'the disk may be full: it is followed all the same, and a worker that died at the same time has a successor',
    { skip: isRoot ? false : 'needs root for a tmpfs' },
    async (t) => {
      const served = await Served.start(t, { app: 'http.cjs', env: OFTEN, diskBytes: 32 * 1_048_576 });
      const { home } = served;
      if (home.disk === null) return t.skip('tmpfs cannot be mounted here');
      const connections = 4;
      const load = await served.begin({ kind: 'reconnect', connections });
      const { init, supervisor, apps } = await home.list();
      const [dead = 0, other = 0] = apps[0]!.workers.map(({ pid }) => pid);
      home.disk.fill();
      process.kill(init.pid, 'SIGKILL');
      process.kill(dead, 'SIGKILL');
      await anotherSupervisor(home, supervisor.pid);
      await eventually('a successor', async () => (await home.app()).workers.every(({ state, pid }) => state === 'ready' && pid !== dead));
      home.disk.free();
      assert.ok((await home.pids()).includes(other));
      await load.more(connections * 4);
      const { lost, lostBy } = await load.stop();
      assert.ok(lost <= connections, `more than what the dead worker had accepted: ${JSON.stringify(lostBy)}`);
    },
  );
});
