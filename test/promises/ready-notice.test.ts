/** READY=1 of sd_notify(3): from a worker, from its helper, from a stranger, and while there is no supervisor to hear it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { eventually } from './eventually.ts';
import { Home, type CommandResult } from './home.ts';
import { repositoryRoot } from './root.ts';
import { said } from './served.ts';

const SCRIPT = join(repositoryRoot(), 'test', 'fixtures', 'apps', 'says-ready.py');

/** `wanted` workers that have begun and wait to be told to say that they are ready. */
async function booted(t: TestContext, wanted: number): Promise<{ home: Home; start: Promise<CommandResult>; pids: number[] }> {
  const home = Home.open(t);
  const env = { SAID: join(home.work, 'said') };
  const start = home.tryStart({ script: SCRIPT, instances: wanted, readiness: 'signal', readyTimeoutMs: 60_000, env });
  const log = home.logFile('out', 'web');
  await eventually('the workers to be up', () => existsSync(log) && readFileSync(log, 'utf8').split('up\n').length === wanted + 1);
  const workers = (await home.app()).workers;
  assert.deepEqual(
    workers.map(({ state }) => state),
    Array.from({ length: wanted }, () => 'booting'),
  );
  return { home, start, pids: workers.map(({ pid }) => pid) };
}

async function states(home: Home): Promise<string[]> {
  return (await home.app()).workers.map(({ state }) => state);
}

describe('READY=1', () => {
  test('of a worker and of a helper that a worker runs make those ready; of a stranger, however much it says, nobody', async (t) => {
    const { home, start, pids } = await booted(t, 2);
    const socket = join(home.path, 'notify');
    assert.equal(statSync(socket).isSocket(), true);
    const stranger =
      "import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(sys.argv[1]); s.send(b'READY=1'); s.send(b'x' * 70_000)";
    assert.equal(spawnSync('python3', ['-c', stranger, socket], { stdio: 'inherit' }).status, 0);
    process.kill(pids[0]!, 'SIGUSR2');
    await eventually('the first to be ready', async () => (await states(home))[0] === 'ready');
    assert.deepEqual(await states(home), ['ready', 'booting']);
    process.kill(pids[1]!, 'SIGUSR1');
    const result = await start;
    assert.equal(result.code, 0, said(result));
    assert.deepEqual(await states(home), ['ready', 'ready']);
    assert.equal((await home.covet('kill')).code, 0);
    assert.equal(existsSync(socket), false);
  });

  test('said while the supervisor hears nothing is heard by the next one', async (t) => {
    const { home, start, pids } = await booted(t, 1);
    const { supervisor } = await home.list();
    process.kill(supervisor.pid, 'SIGSTOP');
    process.kill(pids[0]!, 'SIGUSR1');
    await eventually('it to be said', () => existsSync(join(home.work, 'said')));
    process.kill(supervisor.pid, 'SIGKILL');
    await start;
    await eventually('it to be ready', async () => (await states(home))[0] === 'ready');
    assert.deepEqual(await home.pids(), pids);
  });

  test('not said: the start fails after readyTimeoutMs', async (t) => {
    const home = Home.open(t);
    const limits = { readyTimeoutMs: 1_000, restart: { startsMax: 1 } };
    const result = await home.tryStart({ script: SCRIPT, instances: 1, readiness: 'signal', ...limits });
    assert.equal(result.code, 1, said(result));
    assert.match(result.stdout, /was not ready within 1000 ms/);
  });
});
