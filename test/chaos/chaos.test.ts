/** A random walk under load. A failure says the command that plays it again; 6 steps by default, 300 with --all. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventually } from '../promises/eventually.ts';
import { ALL, control, further, isAgain } from '../promises/tier.ts';
import { seededRandom, testSeed } from '../seed.ts';
import { assertNotLost, descriptorsOf, leftOver, settled } from './invariants.ts';
import { STEPS } from './steps.ts';
import { nameOf, walk } from './walk.ts';
import { beginWorld, type Held } from './world.ts';

const FULL = isAgain ? 30 : 300;
const TAKEN = Number(process.env['COVET_TEST_STEPS'] ?? (ALL ? FULL : 6));

const seed = testSeed();
const again = (steps: number): string => `COVET_TEST_SEED=${seed} COVET_TEST_STEPS=${steps} scripts/test chaos`;

describe('chaos', () => {
  test(`${TAKEN} random steps under load leave what is wanted, and lose nothing (seed ${seed})`, further, async (t) => {
    const world = await beginWorld(t);
    if (world.served.home.disk === null) t.diagnostic('no disk can be mounted here: fillDisk fills none');
    const taken: string[] = [];
    await walk({
      world,
      seed,
      steps: TAKEN,
      again,
      taken: (step) => taken.push(nameOf(step)) > 0,
    });
    t.diagnostic(taken.join(' '));
    // A supervisor that has just taken over, twice: whatever is gathered by a death would be there the second time.
    const take = async (...steps: readonly (keyof typeof STEPS)[]): Promise<Held> => {
      let held: Held = { init: 0, supervisor: 0 };
      for (const step of steps) {
        await STEPS[step]!(world, seededRandom(seed));
        held = descriptorsOf(await settled(world));
      }
      return held;
    };
    const before = await take('killSupervisor');
    // At either moment the last command's connection may be about to close.
    let after = await take('killSupervisor', 'killInit', 'killSupervisor');
    const isNoMore = async (): Promise<boolean> => {
      after = descriptorsOf(await world.served.home.list());
      return after.init <= before.init && after.supervisor <= before.supervisor;
    };
    await eventually('no more descriptors than before', isNoMore).catch(() => assert.deepEqual(after, before));
    for (const load of world.loads) await load.stop();
  });

  test('a step after which something is not as it must be is named, with the command that plays it again', control, async (t) => {
    const world = await beginWorld(t);
    world.model.mayLose = Number.NEGATIVE_INFINITY;
    const walking = walk({ world, seed, steps: 5, again, taken: () => true });
    await assert.rejects(
      walking,
      new RegExp(`^Error: seed ${seed}, step 1, after \\S+: .* may have been in flight[^]*\nAgain: ${again(1)}$`),
    );
    for (const load of world.loads) await load.stop();
  });

  test('a process that only covet-init has is nobody’s', control, async (t) => {
    const { served } = await beginWorld(t);
    const list = await served.home.list();
    const [worker] = list.apps[0]!.workers;
    const [state, command] = ['S', 'node left.cjs'];
    const left = [list.init.pid, list.supervisor.pid, worker!.pid].map((ppid, i) => ({ pid: 2 ** 30 + i, ppid, state, command }));
    assert.deepEqual(leftOver({ processes: () => left }, list), [`process ${2 ** 30} is nobody's: ${command}`]);
  });

  test('a walk on which nobody takes over is seen to fail', control, async (t) => {
    const world = await beginWorld(t, ['no-adoption']);
    await STEPS['killSupervisor']!(world, seededRandom(seed));
    await assert.rejects(async () => {
      await settled(world);
      await Promise.all(world.loads.map(async (load) => load.more(20)));
      await assertNotLost(world);
    });
    for (const load of world.loads) await load.stop();
  });
});
