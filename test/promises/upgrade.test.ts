/**
 * covet-pm itself is replaced under load, supervisor and covet-init, and nobody notices; what cannot take over does not; and a package that
 * is deleted is missed by nobody, for a supervisor runs from a copy of its own.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { eventually } from './eventually.ts';
import { type CommandResult, type Home, resultOf } from './home.ts';
import { packageOf } from './package-of.ts';
import { assertNothingLost, said, Served, stopAll } from './served.ts';
import { ALL } from './tier.ts';

const TIMES = ALL ? 10 : 1;
const CLIENTS = [
  { client: 'reconnect', connections: 8 },
  { client: 'keepAlive', connections: 8, thinkMs: [0, 20], keeps: true },
  { client: 'websocket', connections: 8 },
] as const;

async function covetOf(folder: string, home: Home, ...args: string[]): Promise<CommandResult> {
  const child = spawn(process.execPath, [join(folder, 'dist/covet-pm.cjs'), ...args], { cwd: home.work, env: home.env });
  return resultOf(child, `${folder}'s covet-pm ${args.join(' ')}`);
}

async function ping(home: Home): Promise<{ version: string; init: number; supervisor: number; initPath: string | null }> {
  const { init, supervisor, folder } = (await home.covet('ping', '--json')).as('ping');
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
  return { version, init: init.pid, supervisor: supervisor.pid, initPath: init.path };
}

describe('upgrade', () => {
  test('under load, there and back: nothing is lost, the workers are the same, covet-init keeps its pid', async (t) => {
    const served = await Served.start(t, { app: 'ws-echo.cjs', env: { COVET_TEST_FAULT: 'no-safe-mode' } });
    const { home } = served;
    const [pids, before] = [await home.pids(), await ping(home)];
    const loads = await served.beginAll(CLIENTS);
    const next = packageOf(home.work, '0.2.0');
    for (let time = 0; time < TIMES; time++) {
      const upgraded = await home.covet('upgrade', '--to', next);
      assert.equal(upgraded.code, 0, `${said(upgraded)}\n${home.log()}`);
      const now = await ping(home);
      assert.deepEqual([now.version, now.init], ['0.2.0', before.init]);
      assert.match(now.initPath ?? '', /versions\/0\.2\.0-/);
      await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections * 2)));
      const back = await home.covet('upgrade', '--back');
      assert.equal(back.code, 0, said(back));
      assert.deepEqual({ ...(await ping(home)), supervisor: 0 }, { ...before, supervisor: 0 });
    }
    assert.deepEqual(await home.pids(), pids);
    assertNothingLost(await stopAll(loads));
    await served.reload();
  });

  test('a version that cannot take over does not: the one before it goes on, and the command exits 1', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs', env: { COVET_TEST_FAULT: 'no-safe-mode' } });
    const { home } = served;
    const [pids, before] = [await home.pids(), await ping(home)];
    const load = await served.begin({ kind: 'reconnect', connections: 8 });
    const broken = packageOf(home.work, '0.2.0');
    writeFileSync(join(broken, 'dist/supervisor.mjs'), 'throw new Error("not today");\n');
    const refused = await home.covet('upgrade', '--to', broken);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /0\.2\.0 did not become ready; 0\.1\.0 goes on/);
    assert.match(home.log(), /not today/);
    const now = await ping(home);
    assert.deepEqual([now.version, now.init, now.initPath], [before.version, before.init, before.initPath]);

    const other = packageOf(home.work, '0.3.0');
    cpSync('/bin/false', join(other, `prebuilds/linux-${process.arch}/covet-init`));
    const half = await home.covet('upgrade', '--to', other);
    assert.equal(half.code, 1, said(half));
    assert.match(half.stderr, /its covet-init cannot take over/);
    assert.deepEqual({ ...(await ping(home)), supervisor: 0 }, { ...before, supervisor: 0 });
    for (const [path, reason] of [
      [home.work, /no dist\/supervisor\.mjs/],
      [join(home.work, 'absent'), /absent/],
    ] as const) {
      const wrong = await home.covet('upgrade', '--to', path);
      assert.equal(wrong.code, 1);
      assert.match(wrong.stderr, reason);
    }
    assert.deepEqual(await home.pids(), pids);
    assert.equal((await load.stop()).lost, 0);
  });

  test('the installed package may be replaced, and deleted: reload, logs, restarts and a supervisor that dies work as before', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const { home } = served;
    assert.equal((await home.covet('kill')).code, 0);
    const installed = packageOf(home.work, '0.4.0');
    const started = await covetOf(installed, home, 'resurrect');
    assert.equal(started.code, 0, said(started));
    rmSync(installed, { recursive: true });
    renameSync(packageOf(home.work, '0.5.0'), installed);
    const follower = home.spawn(['logs', 'web', '--follow', '--lines', '0']);
    let followed = '';
    follower.stdout!.on('data', (chunk: Buffer) => (followed += chunk.toString()));
    const load = await served.begin({ kind: 'keepAlive', connections: 4, thinkMs: [0, 20] });
    const { version, supervisor } = await ping(home);
    assert.equal(version, '0.4.0');
    process.kill(supervisor, 'SIGKILL');
    await eventually('another supervisor', async () => (await ping(home)).supervisor !== supervisor);
    await served.reload();
    rmSync(installed, { recursive: true });
    await served.reload();
    assert.equal((await load.stop()).lost, 0);
    const [victim = 0] = await home.pids();
    process.kill(victim, 'SIGKILL');
    await eventually('the successor', async () => (await home.pids())[0] !== victim && (await home.app()).status === 'online');
    assert.match((await home.covet('logs', 'web')).stdout, /listening/);
    // Two workers each of two reloads, and the successor of the one that was killed.
    await eventually('their lines', () => (followed.match(/listening/g)?.length ?? 0) >= 5);
    follower.kill('SIGINT');
    assert.equal((await ping(home)).version, '0.4.0');
  });
});
