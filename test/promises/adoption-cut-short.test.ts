/**
 * covet-init is killed while the supervisor that follows another takes over: what that one was given and has not adopted yet is still held, by it
 * alone. It is kept at that point by a wanted.json that is a pipe, which nobody writes.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, linkSync, openSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from './eventually.ts';
import { Served } from './served.ts';

test('covet-init killed while its supervisor takes over: the same workers go on, and nothing is lost', async (t) => {
  const served = await Served.start(t, { app: 'http.cjs' });
  const { home } = served;
  const pids = await home.pids();
  const load = await served.begin({ kind: 'keepAlive', connections: 8 });
  const wanted = join(home.path, 'state/wanted.json');
  linkSync(wanted, `${wanted}.kept`);
  execFileSync('mkfifo', [`${wanted}.pipe`]);
  renameSync(`${wanted}.pipe`, wanted);
  const { init, supervisor } = await home.list();
  process.kill(supervisor.pid, 'SIGKILL');
  const pipe = await eventually('the next supervisor to read what is wanted', () => openForReader(wanted));
  renameSync(`${wanted}.kept`, wanted);
  process.kill(init.pid, 'SIGKILL');
  await eventually('a supervisor of another covet-init', async () => (await home.list()).init.pid !== init.pid);
  closeSync(pipe);
  await load.more(16);
  assert.deepEqual(await home.pids(), pids, home.log());
  await served.reload();
  assert.equal((await load.stop()).lost, 0);
});

/** Its write end, once somebody reads it. */
function openForReader(path: string): number | undefined {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENXIO') return undefined;
    throw error;
  }
}
