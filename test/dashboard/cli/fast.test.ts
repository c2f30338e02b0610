/** The bin's fast path has no dependency: it is told by what it can do without, not by how long it takes. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { packageRoot } from '../../../native/index.ts';
import { FakeSupervisor } from '../fake-supervisor.ts';
import { app, describeView, list, stopView } from '../views.ts';

test('list, describe, stop, restart and reload need the one file: alone in a folder it does them, and nothing else', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'covet-fast-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const alone = join(folder, 'covet-pm.cjs');
  copyFileSync(join(packageRoot(), 'dist', 'covet-pm.cjs'), alone);
  const server = await FakeSupervisor.listen({
    list: (peer) => peer.answer(list(app())),
    describe: (peer) => peer.answer(describeView()),
    stop: (peer) => peer.answer(stopView()),
    restart: (peer) => peer.answer({ apiVersion: 1, app: app() }),
    reload: (peer) => peer.answer({ ...stopView(), mode: 'overlap', generation: 2, durationMs: 1 }),
  });
  t.after(() => server.close());
  const run = (argv: string[]) => promisify(execFile)(process.execPath, [alone, ...argv], { env: { COVET_HOME: server.home } });
  for (const argv of [['list'], ['describe', 'web'], ['stop', 'web'], ['restart', 'web'], ['reload', 'web']]) await run(argv);
  // What the full CLI does is not there.
  assert.match(spawnSync(process.execPath, [alone, 'doctor']).stderr.toString(), /Cannot find module .*cli\.mjs/);
});
