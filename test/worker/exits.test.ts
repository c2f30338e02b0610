/**
 * The preload changes nothing of how a program ends: code, signal, stdout and stderr are those of plain node.
 */
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { FakeSupervisor, fixture, preload, type WorkerOptions } from './harness.ts';

const WAYS = ['nothing', 'throws', 'rejects', 'exitCode', 'handlers', 'uncaught', 'server', 'listeners'];

for (const mode of ['fork', 'cluster'] as const) {
  for (const way of WAYS) {
    test(`a program that ends by ${way} ends as in plain node, ${mode} mode`, async (t) => {
      assert.deepEqual(
        await end(t, 'worker/ends.cjs', { mode, args: [way] }),
        await end(t, 'worker/ends.cjs', { preload: 'none', args: [way] }),
      );
    });
  }
  test(`an ES module that throws at import ends as in plain node, ${mode} mode`, async (t) => {
    const plain = await end(t, 'worker/throws-at-import.mjs', { preload: 'none' });
    assert.deepEqual(await end(t, 'worker/throws-at-import.mjs', { mode }), plain);
    assert.equal(plain.code, 1);
  });
  for (const [way, code] of [
    ['throws', 1],
    ['never', 13],
  ] as const) {
    test(`an ES module that awaits and ${way === 'throws' ? 'then throws' : 'waits for ever'} ends as in plain node, ${mode} mode`, async (t) => {
      const plain = await end(t, 'worker/awaits.mjs', { preload: 'none', args: [way] });
      assert.deepEqual(await end(t, 'worker/awaits.mjs', { mode, args: [way] }), plain);
      assert.equal(plain.code, code);
    });
  }
}

test('an app whose addon does not load is told so on one line, and binds its own address', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'covet-no-addon-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const preloadFile = join(folder, 'preload.cjs');
  copyFileSync(preload, preloadFile);
  writeFileSync(join(folder, 'package.json'), '{}');
  await bindsAlone(t, { preloadFile });
});

test('an app whose hand-off is missing binds its own address', (t) => bindsAlone(t, { shell: 'COVET_WORKER=$$ exec "$@" 4<&-' }));

async function bindsAlone(t: TestContext, options: WorkerOptions): Promise<void> {
  const worker = FakeSupervisor.for(t).spawn(fixture('apps/http.cjs'), { env: { PORT: '0' }, ...options });
  assert.equal((await worker.until('listening')).own, true);
  await worker.line(/listening/);
  assert.match(worker.stderr, /^covet-pm: [^\n]+, ignoring\n$/);
}

async function end(t: TestContext, script: string, options: WorkerOptions) {
  const worker = FakeSupervisor.for(t).spawn(fixture(script), options);
  const { code, signal } = await worker.ended;
  // Which of node's own frames is under an import depends on what else that tick had to do.
  const stderr = worker.stderr.replace(/ +at process\.processTicksAndRejections .*\n/g, '');
  return { code, signal, stdout: worker.stdout, stderr };
}
