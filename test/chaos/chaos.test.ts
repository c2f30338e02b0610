/** A random walk under load. COVET_TEST_SEED plays it again; 12 steps by default, 300 with --all. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { Load } from '../load/load.ts';
import { eventually } from '../promises/eventually.ts';
import { packageOf } from '../promises/package-of.ts';
import { Served } from '../promises/served.ts';
import { ALL, control, isAgain } from '../promises/tier.ts';
import { seededRandom, testSeed } from '../seed.ts';
import { STEPS, type World } from './steps.ts';
import { assertNotLost, descriptors, settled, walk } from './walk.ts';

const TAKEN = Number(process.env['COVET_TEST_STEPS'] ?? (ALL ? 300 : isAgain ? 6 : 12));
const CONNECTIONS = 6;

interface Begun {
  readonly world: World;
  readonly loads: readonly Load[];
}

async function begin(t: TestContext, faults: string): Promise<Begun> {
  const served = await Served.start(t, {
    app: 'http.cjs',
    env: { COVET_TEST_FAULT: faults },
    config: { minHealthyMs: 100, restart: { delayMs: 10, delayMaxMs: 50, intensity: 1_000 } },
  });
  const world: World = {
    served,
    model: { web: 2, side: null, isSideStopped: false, builds: 0, mayLose: 0 },
    connections: CONNECTIONS * 2,
    otherVersion: packageOf(served.home.work, '0.2.0'),
    random: seededRandom(seed),
    isDisturbed: false,
  };
  const reconnecting = await served.begin({ kind: 'reconnect', connections: CONNECTIONS });
  return { world, loads: [reconnecting, await served.begin({ kind: 'keepAlive', connections: CONNECTIONS, thinkMs: [0, 20] })] };
}

const seed = testSeed();

describe('chaos', () => {
  test(`${TAKEN} random steps under load leave what is wanted, and lose nothing (seed ${seed})`, async (t) => {
    const { world, loads } = await begin(t, 'no-safe-mode');
    await walk({ world, loads, steps: TAKEN, say: (text) => t.diagnostic(text) });
    // A supervisor that has just taken over, twice: whatever is gathered by a death would be there the second time.
    const take = async (...steps: readonly (keyof typeof STEPS)[]): Promise<void> => {
      for (const step of steps) {
        await STEPS[step]!(world);
        await settled(world);
      }
    };
    await take('killSupervisor');
    const before = await descriptors(world);
    await take('killSupervisor', 'killInit', 'killSupervisor');
    // At either moment the last command's connection may be about to close.
    let after = before;
    const isNoMore = async (): Promise<boolean> => {
      after = await descriptors(world);
      return after.init <= before.init && after.supervisor <= before.supervisor;
    };
    await eventually('no more descriptors than before', isNoMore).catch(() => assert.deepEqual(after, before));
    for (const load of loads) await load.stop();
  });

  test('a walk on which nobody takes over is seen to fail', control, async (t) => {
    const { world, loads } = await begin(t, 'no-safe-mode,no-adoption');
    await STEPS['killSupervisor']!(world);
    await assert.rejects(async () => {
      await settled(world);
      await Promise.all(loads.map(async (load) => load.more(20)));
      await assertNotLost(world, loads);
    });
    for (const load of loads) await load.stop();
  });
});
