/**
 * A walk through what may happen, drawn from a seed: steps one after another, some of them with a death in their middle, and after each
 * all that must be so is looked at (invariants.ts). The same seed draws the same steps, whatever they meet.
 */
import { seededRandom } from '../seed.ts';
import { assertNotLost, seen, settled } from './invariants.ts';
import { DISTURBING, STEPS } from './steps.ts';
import type { World } from './world.ts';

/** How often a death is drawn into the middle of a step. */
const DISTURBED = 0.35;
const DISTURB_WITHIN_MS = 150;
const ANSWERS = 20;
/** Of those taken, in a failure's message. */
const SAID_MAX = 30;

/** A step as it was drawn. */
export interface Drawn {
  readonly name: string;
  readonly death: { readonly name: string; readonly afterMs: number } | null;
  readonly seed: number;
}

export interface WalkOptions {
  readonly world: World;
  readonly seed: number;
  readonly steps: number;
  /** The command that plays so many steps of it again. */
  again(steps: number): string;
  /** Called after each step; false ends the walk. */
  taken(step: Drawn): Promise<boolean> | boolean;
}

/** Throws at the first step after which something is not as it must be, with the steps so far and the command that plays them again. */
export async function walk({ world, seed, steps, again, taken }: WalkOptions): Promise<void> {
  const random = seededRandom(seed);
  const last: string[] = [];
  world.first = await seen(world);
  for (let i = 1; i <= steps; i++) {
    const step = draw(random);
    last.push(nameOf(step));
    try {
      await take(world, step);
      await settled(world);
      await Promise.all(world.loads.map(async (load) => load.more(ANSWERS)));
      await assertNotLost(world);
    } catch (error) {
      const message = `seed ${seed}, step ${i}, after ${last.slice(-SAID_MAX).join(' ')}: ${(error as Error).message}`;
      throw new Error(`${message}\nAgain: ${again(i)}`, { cause: error });
    }
    if (!(await taken(step))) return;
  }
}

export function nameOf({ name, death }: Drawn): string {
  return death === null ? name : `${name}+${death.name}@${death.afterMs}`;
}

/** Always as many numbers, so that each step is what it is whatever came before it. */
function draw(random: () => number): Drawn {
  const [which, isDisturbed, death, afterMs, seed] = [random(), random(), random(), random(), random()];
  const name = pick(Object.keys(STEPS), which);
  const isDeath = (DISTURBING as readonly string[]).includes(name);
  return {
    name,
    death: isDeath || isDisturbed >= DISTURBED ? null : { name: pick(DISTURBING, death), afterMs: Math.floor(afterMs * DISTURB_WITHIN_MS) },
    seed: Math.floor(seed * 2 ** 31),
  };
}

const pick = <T>(list: readonly T[], at: number): T => list[Math.floor(at * list.length)]!;

async function take(world: World, { name, death, seed }: Drawn): Promise<void> {
  world.isDisturbed = death !== null;
  const disturb = async (): Promise<void> => {
    if (death === null) return;
    await new Promise((resolve) => setTimeout(resolve, death.afterMs));
    await STEPS[death.name]!(world, seededRandom(seed + 1));
  };
  const results = await Promise.allSettled([STEPS[name]!(world, seededRandom(seed)), disturb()]);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
