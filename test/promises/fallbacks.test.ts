/**
 * Where the kernel refuses what the listeners would like (no reuseport program, no IPv6) an app starts, answers and is reloaded as
 * ever, without a loss; and it is said what it got instead, and why.
 */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { OperationResults } from '../../supervisor/protocol/operations.ts';
import { refusingHost } from './refusing-host.ts';
import type { Cell } from './reload-cells.ts';
import { control } from './tier.ts';
import { assertAllLose, assertNothingLost, Served, type ServedOptions, stopAll } from './served.ts';

const CLIENTS: readonly Cell[] = [
  { client: 'reconnect', connections: 6 },
  { client: 'keepAlive', connections: 4, thinkMs: [0, 50], keeps: true },
];
const RELOADS = 2;

async function reloadedUnderLoad(t: TestContext, options: Partial<ServedOptions>, reloads = RELOADS): Promise<Served> {
  const { app = 'http.cjs' } = options;
  const served = await Served.start(t, { ...options, app });
  const loads = await served.beginAll(CLIENTS);
  for (let i = 0; i < reloads; i++) {
    served.deployment.release(`r${i + 2}`, app);
    await served.reload();
    await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections)));
  }
  const accounts = await stopAll(loads);
  assertNothingLost(accounts);
  for (const { tally } of accounts) assert.ok(Object.hasOwn(tally.builds, `r${reloads + 1}`), JSON.stringify(tally.builds));
  return served;
}

async function listenerOf(served: Served): Promise<OperationResults['describe']['listeners'][number]> {
  const { listeners } = (await served.home.covet('describe', 'web', '--json')).as('describe');
  assert.equal(listeners.length, 1);
  return listeners[0]!;
}

/** What doctor found, by subject. */
async function doctor(served: Served): Promise<(what: string) => string | undefined> {
  const { findings } = (await served.home.covet('doctor', '--json')).as('doctor');
  return (what) => findings.find((finding) => finding.what === what)?.found;
}

describe('fallbacks of a listener', () => {
  const hostWithout = refusingHost();

  test('where the kernel refuses the program both generations share one half, and a reload loses nothing', async (t) => {
    const served = await reloadedUnderLoad(t, { prefix: hostWithout('bpf') });
    const { dispatch, half, eligible } = await listenerOf(served);
    assert.deepEqual({ dispatch, half, eligible }, { dispatch: 'hash', half: null, eligible: [0, 1] });
    const found = await doctor(served);
    assert.equal(found('reuseport program (classic BPF)'), 'refused (EPERM)');
    assert.equal(found('web: listeners'), `tcp://[::]:${served.port} by hash (the kernel refuses the program), open`);
  });

  // Whoever connects anew waits in the queue that both generations share: only who is being answered can lose, so all are, always.
  const answersFor3s = { app: 'slow-3s.cjs' };
  test('where the kernel refuses the program a reload cuts no answer that takes seconds', async (t) => {
    await reloadedUnderLoad(t, { ...answersFor3s, prefix: hostWithout('bpf') }, 1);
  });

  test('the same clients see it when nothing drains', control, async (t) => {
    const env = { COVET_TEST_FAULT: 'no-drain,no-hand-over' };
    await assertAllLose(await Served.start(t, { ...answersFor3s, prefix: hostWithout('bpf'), env }), CLIENTS);
  });

  test('with `reuseportBpf: off` likewise, and doctor says that it was asked for', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs', config: { reuseportBpf: 'off' } });
    assert.equal((await doctor(served))('web: listeners'), `tcp://[::]:${served.port} by hash (reuseportBpf: off), open`);
  });

  test('where IPv6 is off listen(port) gets 0.0.0.0, and a reload loses nothing', async (t) => {
    const served = await reloadedUnderLoad(t, { prefix: hostWithout('ipv6') });
    const { listener, dispatch } = await listenerOf(served);
    assert.deepEqual({ listener, dispatch }, { listener: `tcp://0.0.0.0:${served.port}`, dispatch: 'bpf' });
    assert.equal((await doctor(served))('web: listeners'), `tcp://0.0.0.0:${served.port} by bpf, open`);
  });
});
