/**
 * Scaling loses nothing: who leaves hands over what it has, who comes serves, and where the kernel's hash goes on choosing the socket of a
 * slot that was scaled away, whoever stays accepts from it too.
 */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { eventually } from './eventually.ts';
import { refusingHost } from './refusing-host.ts';
import type { Cell } from './reload-cells.ts';
import { control } from './tier.ts';
import { assertAllLose, assertNothingLost, type CellLoad, said, Served, type ServedOptions, stopAll } from './served.ts';

const RECONNECTING: Cell = { client: 'reconnect', connections: 6 };
const CLIENTS: readonly Cell[] = [RECONNECTING, { client: 'keepAlive', connections: 16, thinkMs: [0, 50], keeps: true }];
/** Enough for the kernel to have chosen every socket many times. */
const ANSWERS_A_STEP = 200;

async function scaledUnderLoad(t: TestContext, steps: readonly number[], options: Partial<ServedOptions>): Promise<Served> {
  const served = await Served.start(t, { app: 'http.cjs', ...options });
  const loads = await served.beginAll(CLIENTS);
  for (const count of steps) {
    const result = await served.home.covet('scale', 'web', String(count));
    assert.equal(result.code, 0, said(result));
    await assertAllAnswer(served, loads[0]!, count);
    await Promise.all(loads.map(async ({ load }) => load.more(ANSWERS_A_STEP)));
  }
  assertNothingLost(await stopAll(loads));
  return served;
}

/** New connections reach each of so many workers. */
async function assertAllAnswer({ home }: Served, { cell, load }: CellLoad, count: number): Promise<void> {
  const pids = await home.pids();
  assert.equal(pids.length, count);
  const before = (await load.peek()).pids;
  await eventually(`an answer of each of ${count} workers`, async () => {
    const after = (await load.more(cell.connections)).pids;
    return pids.every((pid) => (after[pid] ?? 0) > (before[pid] ?? 0));
  });
}

describe('scale under load', () => {
  const hostWithout = refusingHost();

  test('down, several at once, and up again: nothing is lost, kept connections stay, every slot serves', async (t) => {
    await scaledUnderLoad(t, [1, 4, 2, 3], { config: { instances: 4 } });
  });

  test('where the kernel refuses the program likewise', async (t) => {
    await scaledUnderLoad(t, [1, 2, 3, 1, 3], { prefix: hostWithout('bpf') });
  });

  test('with `reuseportBpf: off` likewise, and through a reload that follows', async (t) => {
    const served = await scaledUnderLoad(t, [2], { config: { reuseportBpf: 'off', instances: 4 } });
    const loads = await served.beginAll(CLIENTS);
    await served.reload();
    await Promise.all(loads.map(async ({ load }) => load.more(ANSWERS_A_STEP)));
    assertNothingLost(await stopAll(loads));
  });

  test('a client that connects anew sees it when nobody accepts for a slot that was scaled away', control, async (t) => {
    const served = await Served.start(t, { app: 'http.cjs', config: { reuseportBpf: 'off' }, env: { COVET_TEST_FAULT: 'no-stand-in' } });
    await assertAllLose(served, [RECONNECTING], ['scale', 'web', '1']);
  });
});

describe('more workers than there are descriptors for', () => {
  const LIMITED = ['sh', '-c', 'ulimit -n 256; exec "$@"', 'sh'];

  test('are refused with the numbers at scale, reload and start, and as many as are granted serve', async (t) => {
    const { home, deployment } = await Served.start(t, { app: 'http.cjs', config: { instances: 2 }, prefix: LIMITED });
    const { pid } = (await home.list()).supervisor;
    const refused = await home.covet('scale', 'web', '24');
    assert.equal(refused.code, 1, said(refused));
    assert.match(refused.stderr, /`web` with 24 workers needs about 220 descriptors more, \d+ are left of 256\. Raise the limit/);
    const left = Number(/(\d+) are left/.exec(refused.stderr)?.[1]);

    const most = 2 + Math.floor(left / 10);
    const scaled = await home.covet('scale', 'web', String(most));
    assert.equal(scaled.code, 0, said(scaled));
    assert.equal((await home.pids()).length, most);
    const reloaded = await home.covet('reload', 'web');
    assert.equal(reloaded.code, 1, said(reloaded));
    assert.match(reloaded.stderr, /`web` with \d+ workers needs about \d+ descriptors more/);
    const started = await home.tryStart({ name: 'second', script: deployment.script, instances: 20 });
    assert.match(started.stdout + started.stderr, /`second` with 20 workers needs about 200 descriptors more/);
    assert.equal((await home.list()).apps.length, 1);

    assert.equal((await home.covet('scale', 'web', '2')).code, 0);
    assert.equal((await home.covet('reload', 'web')).code, 0);
    assert.equal((await home.list()).supervisor.pid, pid);
  });
});
