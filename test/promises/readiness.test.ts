/**
 * Readiness is truth: an app that takes longer to boot than `minHealthyMs` is ready when it listens and not before, wherever it is
 * known that it will listen: in a reload, in a restart, in a crashed worker's successor. And `minHealthyMs` is counted from then.
 */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
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
});
