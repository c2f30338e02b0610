/**
 * Under a real systemd: what a unit of `startup` promises. Nothing is lost by a reload through systemctl, by the death of covet-init, of its
 * supervisor, or of both at once; a covet-init that hangs is bitten; a stop drains and leaves nothing; a boot brings back what was wanted.
 */
import assert from 'node:assert/strict';
import { appendFileSync, chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after as afterAll, before as beforeAll, describe, test } from 'node:test';
import { assertCost } from '../promises/cost.ts';
import { eventually } from '../promises/eventually.ts';
import { packageOf } from '../promises/package-of.ts';
import { repositoryRoot } from '../promises/root.ts';
import { ALL, isAgain } from '../promises/tier.ts';
import type { Load } from '../load/load.ts';
import { Parked } from '../load/parked.ts';
import type { OperationResults } from '../../supervisor/protocol/operations.ts';
import {
  allOnline,
  answers,
  assertCounted,
  assertNothingLost,
  countsLog,
  generations,
  kill,
  pidsOf,
  PORT,
  queuedOf,
  statusOf,
  underLoad,
  workers,
} from './machine-apps.ts';
import { Machine, why } from './machine.ts';

const DEATHS = ALL ? 10 : 2;
/** Instead of 30: a hung covet-init is to be bitten within the test's time. */
const WATCHDOG_S = 5;
const BITE_MS = 60_000;
const EXPOSURE_MAX = 2.5;

describe('under systemd', { skip: isAgain ? 'shown by the first run' : (why() ?? false) }, () => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await Machine.boot();
    // systemctl edit.
    const dropIn = join(machine.root, 'etc/systemd/system/covet-pm.service.d');
    mkdirSync(dropIn, { recursive: true });
    writeFileSync(join(dropIn, 'test.conf'), `[Service]\nWatchdogSec=${WATCHDOG_S}\nEnvironment=COVET_TEST_FAULT=no-safe-mode\n`);
  });
  afterAll(async () => machine?.end());

  test('startup writes a unit that systemd finds nothing wrong with, and runs it', async () => {
    const { exposure, path } = JSON.parse(await machine.ok('covet-pm', 'startup', '--json')) as { exposure: string; path: string };
    assert.match(exposure, /^\d/);
    assert.equal(await machine.ok('systemd-analyze', 'verify', path), '');
    assert.equal(await machine.property('ActiveState'), 'active');
    assert.equal(await machine.property('StatusText'), 'no apps');
    await machine.ok('env', `PORT=${PORT}`, 'covet-pm', 'start', '/opt/apps/http.cjs', '--name', 'web', '-i', '2');
    await machine.ok('covet-pm', 'start', '/opt/apps/counts.cjs', '--name', 'counts', '--env', `PORT=${PORT + 1}`);
    const { findings } = await machine.json('doctor');
    const store = findings.find(({ what }) => what === 'descriptors that systemd keeps');
    assert.match(store?.found ?? '', /^[1-9]\d* of 65536$/);
    const groups = findings.find(({ what }) => what === 'cgroups');
    assert.match(groups?.found ?? '', /^v2 at \/\S*\/covet-pm\.service, with cgroup\.kill/);
    await eventually('systemd to know', async () => (await machine.property('StatusText')) === '2 apps online');
  });

  test('systemctl reload loses nothing, and fails when an app was not reloaded', async () => {
    const accounts = await underLoad(machine, async () => {
      const before = await generations(machine);
      await machine.ok('systemctl', 'reload', 'covet-pm');
      assert.deepEqual(
        await generations(machine),
        before.map((generation) => generation + 1),
      );
      const app = join(machine.root, 'opt/apps/http.cjs');
      const good = readFileSync(app);
      appendFileSync(app, '\nthrow new Error("a bad build");\n');
      const { code } = await machine.run('systemctl', 'reload', 'covet-pm');
      assert.equal(code, 1, 'a bad build is told by the exit code');
      writeFileSync(app, good);
    });
    assertNothingLost(accounts);
  });

  for (const [who, killed] of [
    ['the supervisor', ['supervisor']],
    ['covet-init', ['init']],
    ['both at once', ['init', 'supervisor']],
  ] as const) {
    test(`SIGKILL of ${who}, again and again: the same workers serve on, nothing is lost, no line is missing`, async () => {
      const before = await workers(machine);
      const at = countsLog(machine).length;
      const accounts = await underLoad(machine, async () => {
        for (let death = 0; death < DEATHS; death++) await kill(machine, killed);
      });
      assertNothingLost(accounts);
      assert.deepEqual(await workers(machine), before);
      assertCounted(machine, at);
    });
  }

  test('of covet-init, and of both at once: it costs what docs/reliability.md says', async (t) => {
    const port = PORT + 5;
    cpSync(join(repositoryRoot(), 'node_modules/ws'), join(machine.root, 'opt/apps/node_modules/ws'), { recursive: true });
    await machine.ok('env', `PORT=${port}`, 'covet-pm', 'start', '/opt/apps/holds.cjs', '--name', 'holds', '-i', '1');
    const worker = (await machine.json('list')).apps.find(({ name }) => name === 'holds')!.workers[0]!.pid;
    const parked = await Parked.start({ host: '127.0.0.1', port }, machine.inNetwork);
    const signal = async (name: 'SIGSTOP' | 'SIGCONT'): Promise<void> => {
      await machine.ok('kill', `-${name}`, String(worker));
      await eventually(`${name} to be there`, async () => {
        const state = await machine.ok('ps', '-o', 'state=', '-p', String(worker));
        return (state === 'T') === (name === 'SIGSTOP');
      });
    };
    const queued = async (): Promise<number> => queuedOf(machine, 'holds');
    try {
      for (const [death, killed] of [
        ['covet-init, under systemd', ['init']],
        ['both at once, under systemd', ['init', 'supervisor']],
      ] as const)
        await assertCost(t, death, { parked, worker, signal, queued, kill: async () => kill(machine, killed) });
    } finally {
      await parked.close();
    }
    await machine.ok('covet-pm', 'delete', 'holds');
  });

  test('what systemd kept outlasts an upgrade, and a reload after it loses nothing', async () => {
    packageOf(join(machine.root, 'opt'), '9.9.9');
    const before = await workers(machine);
    const accounts = await underLoad(machine, async () => {
      await machine.ok('covet-pm', 'upgrade', '--to', '/opt/package-9.9.9');
      await kill(machine, ['init']);
      assert.match((await machine.json('ping')).folder, /\/9\.9\.9-/, 'and it is the upgraded one that systemd starts');
      assert.deepEqual(await workers(machine), before);
      await machine.ok('covet-pm', 'reload', 'web');
    });
    assertNothingLost(accounts);
  });

  test('without the store the same death loses connections', async () => {
    const dropIn = join(machine.root, 'etc/systemd/system/covet-pm.service.d/no-store.conf');
    writeFileSync(dropIn, '[Service]\nFileDescriptorStoreMax=0\n');
    await machine.ok('systemctl', 'daemon-reload');
    await machine.ok('systemctl', 'restart', 'covet-pm');
    await allOnline(machine);
    const accounts = await underLoad(machine, async () => {
      await kill(machine, ['init']);
      await allOnline(machine);
    });
    assert.ok(
      accounts.every(({ lost }) => lost > 0),
      `Expected every client to lose something, got ${JSON.stringify(accounts)}`,
    );
    await machine.ok('rm', '/etc/systemd/system/covet-pm.service.d/no-store.conf');
    await machine.ok('systemctl', 'daemon-reload');
    await machine.ok('systemctl', 'restart', 'covet-pm');
    await allOnline(machine);
  });

  test('a covet-init that hangs is bitten, and so is a supervisor that hangs', async () => {
    // Its lines fill their pipe while a supervisor hangs, and it throws as it would before any reader that hangs.
    await machine.ok('covet-pm', 'stop', 'counts');
    for (const who of ['init', 'supervisor'] as const) {
      const before = await workers(machine);
      const view = await machine.json('list');
      const restarts = Number(await machine.property('NRestarts'));
      await machine.ok('kill', '-STOP', String(view[who].pid));
      await eventually('systemd to start it again', async () => Number(await machine.property('NRestarts')) > restarts, BITE_MS);
      await answers(machine, view);
      assert.deepEqual(await workers(machine), before);
    }
  });

  test('a stop finishes what is in flight and leaves no process, not even one that hid', async () => {
    await machine.ok('covet-pm', 'start', '/opt/apps/hides.cjs', '--name', 'hides');
    await machine.ok('env', `PORT=${PORT + 2}`, 'covet-pm', 'start', '/opt/apps/slow-3s.cjs', '--name', 'slow', '-i', '2');
    const hidden = await eventually('the hidden process', async () => (await machine.run('pgrep', '-f', 'sleep 86399')).stdout.trim());
    const stop = async (): Promise<void> => void (await machine.ok('systemctl', 'stop', 'covet-pm'));
    // Nothing accepted is cut; connecting after the stop is refused.
    for (const { lost, lostBy } of await underLoad(machine, stop, { port: PORT + 2, kinds: ['keepAlive'] }))
      assert.equal(lost, lostBy.refused, JSON.stringify(lostBy));
    assert.equal(await machine.property('Result'), 'success');
    assert.equal((await machine.run('kill', '-0', hidden)).code, 1, 'it is gone');
    assert.equal((await machine.run('pgrep', '-f', '/opt/apps/|covet-init')).stdout, '');
    await machine.ok('systemctl', 'start', 'covet-pm');
    for (const app of ['hides', 'slow']) await machine.ok('covet-pm', 'delete', app);
    await machine.ok('covet-pm', 'start', 'counts');
    await allOnline(machine);
  });

  test('`kill` means it: systemd does not start it again, and the next command asks systemd to', async () => {
    await machine.ok('covet-pm', 'kill');
    await eventually('the unit to be inactive', async () => (await machine.property('ActiveState')) === 'inactive');
    await machine.ok('covet-pm', 'resurrect');
    assert.equal(await machine.property('ActiveState'), 'active');
    await allOnline(machine);
  });

  test('a socket of systemd is lent to every worker: nothing is lost by a reload, by a death, or while the app is stopped', async () => {
    const port = PORT + 4;
    writeFileSync(join(machine.root, 'etc/systemd/system/covet-pm.socket'), `[Socket]\nListenStream=${port}\n`);
    await machine.ok('systemctl', 'daemon-reload');
    await machine.ok('systemctl', 'stop', 'covet-pm');
    await machine.ok('systemctl', 'start', 'covet-pm.socket');
    await machine.ok('systemctl', 'start', 'covet-pm');
    await machine.ok('env', `PORT=${port}`, 'covet-pm', 'start', '/opt/apps/http.cjs', '--name', 'given', '-i', '2');
    const { listeners } = await machine.json('describe', 'given');
    assert.deepEqual(
      listeners.map(({ listener, dispatch }) => ({ listener, dispatch })),
      [{ listener: `tcp://[::]:${port}`, dispatch: 'shared' }],
    );
    const act = async ([clients]: readonly Load[]): Promise<void> => {
      await machine.ok('covet-pm', 'reload', 'given');
      await kill(machine, ['init', 'supervisor']);
      await machine.ok('covet-pm', 'stop', 'given');
      await machine.ok('covet-pm', 'start', 'given');
      await clients!.more(20);
    };
    assertNothingLost(await underLoad(machine, act, { port, kinds: ['reconnect'] }));
    await machine.ok('covet-pm', 'delete', 'given');
    await machine.ok('systemctl', 'stop', 'covet-pm', 'covet-pm.socket');
    await machine.ok('rm', '/etc/systemd/system/covet-pm.socket');
    await machine.ok('systemctl', 'daemon-reload');
    await machine.ok('systemctl', 'start', 'covet-pm');
    await allOnline(machine);
  });

  test('a boot brings back what was wanted, and leaves what was stopped', async () => {
    await machine.ok('covet-pm', 'stop', 'counts');
    await machine.reboot();
    await eventually('web to be online', async () => (await statusOf(machine, 'web')) === 'online');
    assert.equal(await statusOf(machine, 'counts'), 'stopped');
  });

  test('a hardened unit is refused while an app could not live in it, and then scores well and runs', async () => {
    mkdirSync(join(machine.root, 'srv/closed'), { recursive: true });
    writeFileSync(join(machine.root, 'srv/closed/app.js'), 'setInterval(() => {}, 1000);\n');
    chmodSync(join(machine.root, 'srv/closed'), 0o700);
    await machine.ok('covet-pm', 'start', '/srv/closed/app.js', '--name', 'private');
    const refused = await machine.run('covet-pm', 'startup', '--hardened');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /private: its script \/srv\/closed\/app\.js lies in \/srv\/closed, which is closed to other users/);
    await machine.ok('covet-pm', 'delete', 'private');
    await machine.ok('covet-pm', 'kill');
    const { exposure } = JSON.parse(await machine.ok('covet-pm', 'startup', '--hardened', '--json')) as { exposure: string };
    assert.ok(Number.parseFloat(exposure) <= EXPOSURE_MAX, exposure);
    await eventually('web to be online', async () => (await statusOf(machine, 'web')) === 'online');
    const before = await workers(machine);
    assert.notEqual(await machine.ok('stat', '-c', '%u', `/proc/${before[0]}`), '0');
    assertNothingLost(await underLoad(machine, async () => kill(machine, ['init'])));
    assert.deepEqual(await workers(machine), before);
  });

  test('a home with an odd name has a unit of its own', async () => {
    const home = '/srv/odd; home of 100% é';
    const refused = await machine.run('env', 'COVET_HOME=/srv/a "home"', 'covet-pm', 'startup', '--name', 'odd');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /quotes/);
    const inHome = async (...args: readonly string[]): Promise<string> => machine.ok('env', `COVET_HOME=${home}`, 'covet-pm', ...args);
    await inHome('startup', '--name', 'odd');
    assert.equal(await machine.property('ActiveState', 'odd'), 'active');
    await inHome('start', '/opt/apps/hides.cjs', '--name', 'odd');
    await machine.ok('systemctl', 'reload', 'odd');
    await eventually('systemd to know', async () => (await machine.property('StatusText', 'odd')) === '1 app online');
    await inHome('kill');
    await inHome('resurrect');
    assert.equal(await machine.property('ActiveState', 'odd'), 'active', 'the next command found its unit');
    await inHome('unstartup', '--name', 'odd');
    await inHome('kill');
  });

  test("a user's own manager runs a user's home, and gives it back the same", async () => {
    await machine.ok('useradd', '--create-home', 'ops');
    const uid = await machine.ok('id', '-u', 'ops');
    await machine.ok('systemctl', 'start', `user@${uid}.service`);
    const become = ['setpriv', '--reuid=ops', '--regid=ops', '--init-groups', 'env', 'HOME=/home/ops', `XDG_RUNTIME_DIR=/run/user/${uid}`];
    const asOps = async (...args: readonly string[]): Promise<string> => machine.ok(...become, ...args);
    await asOps('covet-pm', 'startup');
    await asOps('covet-pm', 'start', '/opt/apps/http.cjs', '--name', 'own', '--env', 'PORT=3300');
    const list = async (): Promise<OperationResults['list']> =>
      JSON.parse(await asOps('covet-pm', 'list', '--json')) as OperationResults['list'];
    const view = await list();
    await asOps('kill', '-KILL', String(view.init.pid), String(view.supervisor.pid));
    const after = await eventually('another covet-init', async () => {
      const now = await list().catch(() => null);
      return now !== null && now.init.pid !== view.init.pid && now;
    });
    assert.deepEqual(pidsOf(after), pidsOf(view));
    await asOps('systemctl', '--user', 'stop', 'covet-pm');
    assert.equal((await machine.run('pgrep', '-u', 'ops', '-f', '/opt/apps/|covet-init')).stdout, '');
  });

  test('unstartup takes the unit back, and what runs runs on', async () => {
    const before = await workers(machine);
    await machine.ok('covet-pm', 'unstartup');
    assert.equal((await machine.run('systemctl', 'cat', 'covet-pm')).code, 1);
    assert.deepEqual(await workers(machine), before);
  });
});
