/** The lock of a home, as it goes from one covet-init to the next. */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { eventually } from '../promises/eventually.ts';
import { exitOf, startDaemon, temporaryFolder, tested } from './init-harness.ts';

/** Of a covet-init that was killed, as its supervisor tells it. */
const TOLD = 'init 0 version=1 ready=1 signal=0\n';

/** Somebody who has the lock until its stdin ends. */
async function holder(t: TestContext, lock: string): Promise<ChildProcess & { stdin: NonNullable<ChildProcess['stdin']> }> {
  const child = spawn('flock', [lock, 'sh', '-c', 'echo held; read line'], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

test('one that takes over has the lock as soon as the last child of the one before lets go of it', async (t) => {
  const folder = temporaryFolder(t);
  const lock = join(folder, 'lock');
  const before = await holder(t, lock);
  const { child, supervisor, exit } = await startDaemon(t, { folder, state: TOLD });
  before.stdin.end();
  const next = await supervisor();
  assert.equal(readFileSync(lock, 'utf8'), `${child.pid}\n`);
  next.wire.tell('quit', { code: 0 });
  await exit;
});

test('one that had to go on without the lock can be replaced all the same', async (t) => {
  const folder = temporaryFolder(t);
  const other = await holder(t, join(folder, 'lock'));
  const { supervisor, said, exit } = await startDaemon(t, { folder, state: TOLD });
  await said(/Cannot lock .*, going on\./);
  const { wire } = await supervisor();
  for (const verb of ['check', 'replace']) assert.equal((await wire.request(verb, { path: tested('covet-init') })).verb, 'ok');
  other.stdin.end();
  wire.tell('quit', { code: 0 });
  await exit;
});

test('one that is killed while it tries another out leaves nobody with its lock', async (t) => {
  const { child, folder, supervisor } = await startDaemon(t);
  const { wire } = await supervisor();
  const [path, pidFile] = [join(folder, 'other'), join(folder, 'other.pid')];
  writeFileSync(path, `#!/bin/sh\necho $$ > '${pidFile}.new'; mv '${pidFile}.new' '${pidFile}'; exec sleep 1000\n`);
  chmodSync(path, 0o755);
  wire.tell('check', { path });
  await eventually('the other one to run', () => existsSync(pidFile));
  const killed = exitOf(child);
  child.kill('SIGKILL');
  await killed;
  const taken = spawnSync('flock', ['--nonblock', join(folder, 'lock'), 'true']);
  process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL'); // it has the supervisor's wire, too
  assert.equal(taken.status, 0);
});
