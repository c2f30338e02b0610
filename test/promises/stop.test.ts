/** Workers that will not go, cannot go, or leave something behind: `stop` ends in the documented state, with nothing of them left. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { OperationResults } from '../../supervisor/protocol/operations.ts';
import { Wire } from '../load/wire.ts';
import { eventually } from './eventually.ts';
import { openFds, processInfo } from './processes.ts';
import { said, Served } from './served.ts';
import { picked } from './tier.ts';

/** Without what is tested the first resets some, as a rule. */
const STOPS = 4;
const LIMITS = { drainTimeoutMs: 1_000, killTimeoutMs: 1_000 };

async function stop(served: Served): Promise<OperationResults['stop']> {
  const pids = await served.home.pids();
  const result = await served.home.covet('stop', 'web', '--json');
  assert.equal(result.code, 0, said(result));
  const app = await served.home.app();
  assert.equal(app.status, 'stopped');
  assert.deepEqual(
    app.workers.filter((worker) => worker.pid !== 0),
    [],
  );
  for (const pid of pids) assert.equal(processInfo(pid), null, `worker ${pid} is still there`);
  return result.as('stop');
}

/** Processes of the home that are not covet-pm's own. */
function left(served: Served): string[] {
  return served.home
    .processes()
    .filter(({ command }) => /sleep|app\.(c|m)js|fixtures/.test(command))
    .map(({ pid, command }) => `${pid} ${command}`);
}

describe('stop', () => {
  test('a worker that stopped itself with SIGSTOP ends too: it is sent SIGCONT after SIGTERM', async (t) => {
    const served = await Served.start(t, { app: 'stops-itself.cjs', config: LIMITS });
    const wire = await Wire.open(served.target, 20_000);
    wire.write('GET /stop HTTP/1.1\r\nHost: any\r\n\r\n');
    const pids = await served.home.pids();
    await eventually('a worker to be stopped', () => pids.some((pid) => processInfo(pid)?.state === 'T'));
    const events = await served.home.events();
    assert.equal((await stop(served)).killed, 0);
    for (const pid of pids) assert.deepEqual((await events.waitFor('worker.exited', (event) => event.pid === pid)).signal, 'SIGTERM');
    wire.close();
    assert.deepEqual(left(served), []);
  });

  test('workers that ignore SIGTERM and SIGINT are killed after killTimeoutMs, and counted', async (t) => {
    const served = await Served.start(t, { app: 'ignores-sigterm.cjs', config: LIMITS });
    assert.equal((await stop(served)).killed, 2);
    assert.match(readFileSync(served.home.logFile('out'), 'utf8'), /ignored SIGTERM/);
  });

  test('workers that flood their output end when asked, and block neither list nor stop', async (t) => {
    const served = await Served.start(t, { app: 'floods-output.cjs', config: { ...LIMITS, logs: { bytesMax: 5_000_000, filesMax: 2 } } });
    const load = await served.begin({ kind: 'reconnect', connections: 2 });
    await load.more(20);
    assert.equal((await served.home.app()).status, 'online');
    await load.stop();
    await stop(served);
    assert.deepEqual(left(served), []);
  });

  test('grandchildren that forked away from their worker are gone after stop', async (t) => {
    const served = await Served.start(t, { app: 'double-forks.cjs', config: LIMITS });
    await eventually('the daemons to run', () => served.home.processes().filter(({ command }) => command === 'sleep 300').length === 6);
    await stop(served);
    await eventually('the daemons to be gone', () => left(served).length === 0).catch((error: unknown) => {
      throw new Error(`left: ${left(served).join(', ')}`, { cause: error });
    });
  });

  test('an app that handles SIGINT alone is sent SIGINT', async (t) => {
    const served = await Served.start(t, { app: 'only-sigint.cjs' });
    assert.equal((await stop(served)).killed, 0);
    assert.match(readFileSync(served.home.logFile('out'), 'utf8'), /ended by SIGINT/);
  });

  test('an app with a SIGTERM handler of its own ends by it', async (t) => {
    const served = await Served.start(t, { app: 'own-signal-handler.cjs' });
    assert.equal((await stop(served)).killed, 0);
    assert.match(readFileSync(served.home.logFile('out'), 'utf8'), /ended by SIGTERM/);
  });

  test('a stop under load finishes what was accepted and refuses the rest', async (t) => {
    const served = await Served.start(t, { app: 'slow-3s.cjs' });
    const load = await served.begin({ kind: 'keepAlive', connections: 6 });
    await stop(served);
    const { lostBy, lost } = await load.stop();
    // Nothing accepted is cut; connecting after the stop is refused.
    assert.deepEqual(
      { torn: lostBy.torn, reset: lostBy.reset, empty: lostBy.empty, timeout: lostBy.timeout },
      { torn: 0, reset: 0, empty: 0, timeout: 0 },
    );
    assert.equal(lost, lostBy.refused);
  });

  for (const client of picked(['reconnect', 'keepAlive'] as const)) {
    test(`a stop resets no connection that waited for a worker: ${client}`, async (t) => {
      const served = await Served.start(t, { app: 'http.cjs' });
      for (let i = 0; i < STOPS; i++) {
        const load = await served.begin({ kind: client, connections: 8 });
        await stop(served);
        const { lost, lostBy, examples } = await load.stop();
        assert.equal(lost, lostBy.refused, examples.join('\n'));
        assert.equal((await served.home.covet('start', 'web')).code, 0);
      }
    });
  }

  test('ten starts and deletes leave no descriptor in covet-init or the supervisor', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const cycle = async (): Promise<void> => {
      await served.home.start({
        script: served.deployment.script,
        name: 'second',
        instances: 2,
        env: { PORT: String(served.port + 5) },
        minHealthyMs: 0,
      });
      assert.equal((await served.home.covet('delete', 'second')).code, 0);
    };
    await cycle();
    const { init, supervisor } = await served.home.list();
    const count = (): { init: string[]; supervisor: string[] } => ({ init: openFds(init.pid), supervisor: openFds(supervisor.pid) });
    const before = count();
    for (let i = 0; i < 10; i++) await cycle();
    await eventually('as few descriptors as before', () => {
      const now = count();
      return now.init.length <= before.init.length && now.supervisor.length <= before.supervisor.length;
    }).catch((error: unknown) => {
      throw new Error(`before ${JSON.stringify(before, null, 1)}\nnow ${JSON.stringify(count(), null, 1)}`, { cause: error });
    });
  });
});
