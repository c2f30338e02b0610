/** A supervisor that is stopped (SIGSTOP, a debugger, a frozen host) while covet-init dies: it takes covet-init's place when it goes on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from './eventually.ts';
import { processInfo } from './processes.ts';
import { Served } from './served.ts';

test('a supervisor that was stopped when covet-init was killed becomes covet-init when it goes on', async (t) => {
  const { home } = await Served.start(t, { app: 'http.cjs' });
  const { init, supervisor, apps } = await home.list();
  process.kill(supervisor.pid, 'SIGSTOP');
  await eventually('it to be stopped', () => processInfo(supervisor.pid)?.state === 'T');
  process.kill(init.pid, 'SIGKILL');
  await eventually('covet-init to be gone', () => processInfo(init.pid) === null);
  process.kill(supervisor.pid, 'SIGCONT');
  await eventually('another supervisor', async () => {
    const { code, stdout } = await home.covet('list', '--json');
    return code === 0 && !stdout.includes(`"supervisor":{"pid":${supervisor.pid},`);
  });
  const after = await home.list();
  assert.equal(after.init.pid, supervisor.pid);
  assert.deepEqual(
    after.apps[0]!.workers.map(({ pid }) => pid),
    apps[0]!.workers.map(({ pid }) => pid),
  );
});
