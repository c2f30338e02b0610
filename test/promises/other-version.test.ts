/**
 * Two releases work with each other: the one upgrades to the other and back under load, whatever of both meets on the way, and a command of either
 * works with the supervisor of the other.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { eventually } from './eventually.ts';
import { type CommandResult, type Home, resultOf } from './home.ts';
import { laterRelease } from './other-release.ts';
import { packageOf } from './package-of.ts';
import { assertNothingLost, said, Served, stopAll } from './served.ts';
import { isAgain } from './tier.ts';

const CLIENTS = [
  { client: 'reconnect', connections: 8 },
  { client: 'keepAlive', connections: 8, thinkMs: [0, 20] },
  { client: 'websocket', connections: 8 },
] as const;
const TOGETHER = /they work together/;

async function versionOf(home: Home): Promise<string> {
  return (await home.list()).supervisor.version;
}

/** What uid and Node change of an upgrade, upgrade.test.ts shows. */
describe('another version', { skip: isAgain ? 'shown by the first run' : false }, () => {
  test('a release that knows more, and this one, take over from each other under load, and understand each other’s commands', async (t) => {
    const served = await Served.start(t, {
      app: 'ws-echo.cjs',
      env: { COVET_TEST_FAULT: 'no-safe-mode' },
      config: { probe: { path: '/' } },
    });
    const { home } = served;
    const later = laterRelease(home.work, '0.2.0');
    const byLater = async (...args: string[]): Promise<CommandResult> => {
      const child = spawn(process.execPath, [join(later, 'dist/covet-pm.cjs'), ...args], { cwd: home.work, env: home.env });
      return resultOf(child, `the later release's covet-pm ${args.join(' ')}`);
    };
    const done = (result: CommandResult): CommandResult => {
      assert.equal(result.code, 0, `${said(result)}\n${home.log()}`);
      return result;
    };
    const loads = await served.beginAll(CLIENTS);
    const sameWorkers = async (pids: readonly number[]): Promise<void> => {
      await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections * 2)));
      assert.deepEqual(await home.pids(), pids);
    };

    // Workers of this release under a later supervisor.
    const first = await home.pids();
    done(await home.covet('upgrade', '--to', later));
    assert.equal(await versionOf(home), '0.2.0');
    await sameWorkers(first);
    const { supervisor } = await home.list();
    process.kill(supervisor.pid, 'SIGKILL');
    await eventually('another supervisor', async () => (await home.list()).supervisor.pid !== supervisor.pid);
    await sameWorkers(first);
    done(await home.covet('reload', 'web'));

    // Workers, notes and a wanted state of the later release under this supervisor.
    const second = await home.pids();
    done(await home.covet('upgrade', '--back'));
    assert.equal(await versionOf(home), '0.1.0');
    await sameWorkers(second);
    assert.doesNotMatch(home.log(), /unreadable|not readable|ended [1-9]/);
    const [slot] = (await home.app()).workers;
    assert.equal(slot?.generation, 2);
    assert.match(done(await byLater('logs', 'web')).stderr, /0\.1\.0, does not know `later`, ignoring it/);
    done(await byLater('reload', 'web'));
    const { apps } = JSON.parse(readFileSync(join(home.path, 'state/wanted.json'), 'utf8')) as { apps: [{ config: { later: number } }] };
    assert.equal(apps[0].config.later, 7, 'an option of the later release is kept');

    // There again, by its own command; and covet-init dies, with the state that the later supervisor takes with it.
    const third = await home.pids();
    done(await byLater('upgrade'));
    await sameWorkers(third);
    const { init } = done(await home.covet('ping', '--json')).as('ping');
    process.kill(init.pid, 'SIGKILL');
    await eventually('another covet-init', async () => (await home.list()).init.pid !== init.pid);
    await sameWorkers(third);
    done(await byLater('upgrade', '--back'));
    await sameWorkers(third);
    assertNothingLost(await stopAll(loads));
  });

  test('that the supervisor is of another version is said once', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs', env: { COVET_TEST_FAULT: 'no-safe-mode' } });
    const { home } = served;
    assert.doesNotMatch((await home.covet('list')).stderr, TOGETHER);
    const later = packageOf(home.work, '0.2.0');
    const upgraded = await home.covet('upgrade', '--to', later);
    assert.equal(upgraded.code, 0, said(upgraded));
    assert.doesNotMatch(upgraded.stderr, TOGETHER);
    assert.match((await home.covet('reload', 'web')).stderr, TOGETHER);
    for (const args of [['list'], ['doctor'], ['logs', 'web'], ['stop', 'web']]) {
      const result = await home.covet(...args);
      assert.equal(result.code, 0, said(result));
      assert.doesNotMatch(result.stderr, TOGETHER);
    }
  });
});
