/**
 * Readiness is truth: an app that takes longer to boot than `minHealthyMs` is ready when it listens and not before, wherever it is
 * known that it will listen: in a reload, in a restart, in a crashed worker's successor. And `minHealthyMs` is counted from then.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { eventually } from './eventually.ts';
import { Home, type TestApp } from './home.ts';
import { Deployment } from './release.ts';
import { assertNothingLost, said, Served, stopAll } from './served.ts';
import type { Cell } from './reload-cells.ts';

const BOOT_MS = 1_200;
const CLIENTS: readonly Cell[] = [
  { client: 'reconnect', connections: 4 },
  { client: 'keepAlive', connections: 4, thinkMs: [0, 50], keeps: true },
];

async function slow(t: TestContext): Promise<{ served: Served; throwFile: string }> {
  const throwFile = join('/tmp', `throw-${process.pid}-${Date.now()}`);
  t.after(() => rmSync(throwFile, { force: true }));
  const served = await Served.start(t, {
    app: 'boots-slowly.cjs',
    config: { minHealthyMs: 200, env: { BOOT_MS: String(BOOT_MS), THROW: throwFile } },
  });
  return { served, throwFile };
}

/** What a start that fails says. */
async function failing(home: Home, script: string, config: Omit<TestApp, 'script'>): Promise<string> {
  const result = await home.tryStart({ script, instances: 1, ...config });
  assert.equal(result.code, 1, said(result));
  return result.stdout;
}

describe('readiness', () => {
  test('a reload to a build that boots slowly and dies as soon as it listens is refused, and nobody notices', async (t) => {
    const { served, throwFile } = await slow(t);
    const loads = await served.beginAll(CLIENTS);
    const before = await served.home.pids();
    writeFileSync(throwFile, '');
    const result = await served.home.covet('reload', 'web');
    assert.equal(result.code, 1, said(result));
    assert.deepEqual(await served.home.pids(), before);
    assertNothingLost(await stopAll(loads));
  });

  test('a reload to a build that never listens fails after readyTimeoutMs', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs', config: { readyTimeoutMs: 3_000 } });
    const loads = await served.beginAll(CLIENTS);
    served.deployment.release('r2', 'never-listens.cjs');
    const result = await served.home.covet('reload', 'web', '--deadline', '30000');
    assert.equal(result.code, 1, said(result));
    assertNothingLost(await stopAll(loads));
  });

  test('after a restart of an app that boots slowly the first connect is answered', async (t) => {
    const { served } = await slow(t);
    const result = await served.home.covet('restart', 'web');
    assert.equal(result.code, 0, said(result));
    const load = await served.begin({ kind: 'reconnect', connections: 2 });
    assert.equal((await load.stop()).lost, 0);
  });

  test("with readiness `signal` listening is not enough: the app's word is waited for, in a reload too", async (t) => {
    const config = { instances: 2, readiness: 'signal', readyTimeoutMs: 4_000, env: { READY_AFTER_MS: String(BOOT_MS) } } as const;
    const served = await Served.start(t, { app: 'ready-signal.cjs', config });
    const events = await served.home.events();
    const loads = await served.beginAll(CLIENTS);
    served.deployment.release('r2', 'ready-signal.cjs');
    const { generation } = await served.reload();
    for (const slot of [0, 1]) {
      const is = (to: string) => (event: { slot: number; generation: number; to: string }) =>
        event.slot === slot && event.generation === generation && event.to === to;
      const booting = await events.waitFor('slot.changed', is('booting'));
      const ready = await events.waitFor('slot.changed', is('ready'));
      assert.ok(Date.parse(ready.at) - Date.parse(booting.at) >= BOOT_MS, `slot ${slot} was ready before it said so`);
    }
    assertNothingLost(await stopAll(loads));
    const pids = await served.home.pids();
    served.deployment.release('r3', 'http.cjs');
    const silent = await served.home.covet('reload', 'web', '--deadline', '60000');
    assert.equal(silent.code, 1, said(silent));
    assert.deepEqual(await served.home.pids(), pids, 'a build that never says it is ready changes nothing');
  });

  test("a crashed worker's successor is ready when it listens", async (t) => {
    const { served } = await slow(t);
    const events = await served.home.events();
    const [pid = 0] = await served.home.pids();
    process.kill(pid, 'SIGKILL');
    const exit = await events.waitFor('worker.exited', (event) => event.pid === pid);
    const booting = await events.waitFor(
      'slot.changed',
      (event) => event.slot === exit.slot && event.to === 'booting' && event.seq > exit.seq,
    );
    const ready = await events.waitFor('slot.changed', (event) => event.slot === exit.slot && event.to === 'ready' && event.seq > exit.seq);
    const bootedMs = Date.parse(ready.at) - Date.parse(booting.at);
    assert.ok(bootedMs >= BOOT_MS, `ready ${bootedMs} ms after it began to boot, before it can have listened`);
  });

  const throws = "throw new Error('no database configured');";
  for (const [file, text] of Object.entries({
    'app.cjs': `const end = Date.now() + ${BOOT_MS}; while (Date.now() < end); ${throws}`,
    'app.mjs': `await new Promise((resolve) => setTimeout(resolve, ${BOOT_MS})); ${throws}`,
  })) {
    test(`${file} that throws at import after longer than minHealthyMs is not online`, async (t) => {
      const home = Home.open(t);
      const deployment = new Deployment(join(home.work, 'app'), file);
      deployment.release('r2', file, text);
      const words = await failing(home, deployment.script, { minHealthyMs: 200, restart: { startsMax: 2, delayMs: 10, delayMaxMs: 10 } });
      assert.match(words, /no database configured/);
      assert.equal((await home.app()).status, 'failed');
    });
  }

  test('an app that awaits for ever at its top level fails after readyTimeoutMs', async (t) => {
    const home = Home.open(t);
    const deployment = new Deployment(join(home.work, 'app'), 'app.mjs');
    deployment.release('r2', 'app.mjs', 'setInterval(() => {}, 1_000); await new Promise(() => {});');
    const limits = { minHealthyMs: 200, readyTimeoutMs: 1_500, restart: { startsMax: 1 } };
    assert.match(await failing(home, deployment.script, limits), /was not ready within 1500 ms/);
  });

  test('a worker that was loaded before its supervisor died is ready under the next one', async (t) => {
    const home = Home.open(t);
    const deployment = new Deployment(join(home.work, 'app'), 'app.cjs');
    deployment.release('r2', 'app.cjs', "console.log('up'); setInterval(() => {}, 1_000);");
    const start = home.tryStart({ script: deployment.script, instances: 1, minHealthyMs: 4_000, readyTimeoutMs: 60_000 });
    await eventually(
      'the app to be loaded',
      () => existsSync(home.logFile('out', 'web')) && readFileSync(home.logFile('out', 'web')).length > 0,
    );
    const { supervisor, apps } = await home.list();
    assert.equal(apps[0]!.workers[0]!.state, 'booting');
    process.kill(supervisor.pid, 'SIGKILL');
    await start;
    await eventually('it to be ready', async () => (await home.app()).workers[0]!.state === 'ready');
    assert.deepEqual(await home.pids(), [apps[0]!.workers[0]!.pid]);
  });
});
