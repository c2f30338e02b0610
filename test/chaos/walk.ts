/**
 * A walk through what may happen, drawn from a seed: steps one after another, some of them with a death in their middle, and after each the home
 * must come to what the model says, within a deadline, with nothing lost that may not be, and nothing left over.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Load } from '../load/load.ts';
import { eventually } from '../promises/eventually.ts';
import { openFds, zombiesOf } from '../promises/processes.ts';
import type { OperationResults } from '../../supervisor/protocol/operations.ts';
import { DISTURBING, STEPS, type Step, type World } from './steps.ts';

const SETTLE_MS = 60_000;
/** How often a death is drawn into the middle of a step. */
const DISTURBED = 0.35;
const DISTURB_WITHIN_MS = 150;

export interface WalkOptions {
  readonly world: World;
  readonly loads: readonly Load[];
  readonly steps: number;
  say(text: string): void;
}

export async function walk({ world, loads, steps, say }: WalkOptions): Promise<void> {
  const names = Object.keys(STEPS);
  const taken: string[] = [];
  for (let i = 0; i < steps; i++) {
    const name = names[Math.floor(world.random() * names.length)]!;
    const isDeath = (DISTURBING as readonly string[]).includes(name);
    const death = !isDeath && world.random() < DISTURBED ? DISTURBING[Math.floor(world.random() * DISTURBING.length)]! : null;
    const afterMs = Math.floor(world.random() * DISTURB_WITHIN_MS);
    taken.push(death === null ? name : `${name}+${death}@${afterMs}`);
    try {
      await take(world, STEPS[name]!, death === null ? null : { step: STEPS[death]!, afterMs });
      await settled(world);
      await Promise.all(loads.map(async (load) => load.more(20)));
      await assertNotLost(world, loads);
    } catch (error) {
      throw new Error(`step ${i + 1} of ${taken.join(' ')}: ${(error as Error).message}`, { cause: error });
    }
  }
  say(taken.join(' '));
}

async function take(world: World, step: Step, death: { step: Step; afterMs: number } | null): Promise<void> {
  world.isDisturbed = death !== null;
  const disturbed =
    death === null ? null : new Promise((resolve) => setTimeout(resolve, death.afterMs)).then(async () => death.step(world));
  const results = await Promise.allSettled([step(world), disturbed]);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** Observed follows wanted. */
export async function settled({ served, model }: World): Promise<void> {
  let list: OperationResults['list'] | undefined;
  let problems: string[] = [];
  const look = async (): Promise<boolean> => {
    list = await served.home.list();
    problems = problemsOf(list, model);
    if (problems.length === 0) problems = await leftOver(served.home, list);
    return problems.length === 0;
  };
  await eventually('the home to be as the model says', look, SETTLE_MS).catch(async (error: Error) => {
    const history = await served.home.history(40);
    throw new Error(`${error.message}: ${problems.join('; ')}\n${JSON.stringify(list)}\n${history}\n${served.home.log()}`, {
      cause: error,
    });
  });
}

function problemsOf({ apps }: OperationResults['list'], model: World['model']): string[] {
  const [web, side] = [apps.find(({ name }) => name === 'web'), apps.find(({ name }) => name === 'side')];
  const isUp = (app: typeof web, wanted: number): boolean =>
    app?.status === 'online' &&
    app.workers.length === wanted &&
    app.workers.every((worker) => worker.state === 'ready' && worker.generation === app.generation);
  const problems: string[] = [];
  if (!isUp(web, model.web)) problems.push(`web is not online with ${model.web} workers`);
  if (model.side === null && side !== undefined) problems.push('side is there');
  if (model.side !== null && model.isSideStopped && side?.status !== 'stopped') problems.push('side is not stopped');
  if (model.side !== null && !model.isSideStopped && !isUp(side, model.side))
    problems.push(`side is not online with ${model.side} workers`);
  return problems;
}

/** Processes, zombies and state that nobody has. */
async function leftOver(home: World['served']['home'], { apps, init, supervisor }: OperationResults['list']): Promise<string[]> {
  const known = new Set([init.pid, supervisor.pid, ...apps.flatMap(({ workers }) => workers.map(({ pid }) => pid))]);
  const processes = home
    .processes()
    .filter(({ pid, ppid, command }) => !known.has(pid) && !known.has(ppid) && !command.includes('covet-pm.cjs'));
  const problems = processes.map(({ pid, command }) => `process ${pid} is nobody's: ${command}`);
  for (const { pid, ppid } of zombiesOf(known)) problems.push(`zombie ${pid} of ${ppid}`);
  JSON.parse(readFileSync(join(home.path, 'state/wanted.json'), 'utf8'));
  return problems;
}

export async function assertNotLost({ model }: World, loads: readonly Load[]): Promise<void> {
  const tallies = await Promise.all(loads.map(async (load) => load.peek()));
  const lost = tallies.reduce((sum, tally) => sum + tally.lost, 0);
  const waiting = tallies.map(({ lostBy }) => lostBy.timeout + lostBy.refused);
  assert.deepEqual(
    waiting,
    waiting.map(() => 0),
    'nothing is refused, and nothing waits for ever',
  );
  const examples = tallies.flatMap((tally) => tally.examples).slice(-5);
  assert.ok(lost <= model.mayLose, `${lost} lost, ${model.mayLose} may have been in flight in killed workers:\n${examples.join('\n')}`);
}

/** Descriptors of covet-init and supervisor, for whoever compares two moments in the same state. */
export async function descriptors({ served }: World): Promise<{ init: number; supervisor: number }> {
  const { init, supervisor } = await served.home.list();
  return { init: openFds(init.pid).length, supervisor: openFds(supervisor.pid).length };
}
