/** Scaling loses nothing: who leaves hands over what it has, and who comes serves. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { eventually } from './eventually.ts';
import type { Cell } from './reload-cells.ts';
import { assertNothingLost, type CellLoad, said, Served, type ServedOptions, stopAll } from './served.ts';

const CLIENTS: readonly Cell[] = [
  { client: 'reconnect', connections: 6 },
  { client: 'keepAlive', connections: 16, thinkMs: [0, 50], keeps: true },
];
/** Enough for the kernel to have chosen every socket many times. */
const ANSWERS_A_STEP = 200;

async function scaledUnderLoad(t: TestContext, steps: readonly number[], options: Partial<ServedOptions>): Promise<void> {
  const served = await Served.start(t, { app: 'http.cjs', ...options });
  const loads = await served.beginAll(CLIENTS);
  for (const count of steps) {
    const result = await served.home.covet('scale', 'web', String(count));
    assert.equal(result.code, 0, said(result));
    await assertAllAnswer(served, loads[0]!, count);
    await Promise.all(loads.map(async ({ load }) => load.more(ANSWERS_A_STEP)));
  }
  assertNothingLost(await stopAll(loads));
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
  test('down, several at once, and up again: nothing is lost, kept connections stay, every slot serves', async (t) => {
    await scaledUnderLoad(t, [1, 4, 2, 3], { config: { instances: 4 } });
  });
});
