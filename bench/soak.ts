/**
 * Does it last? The walk of test/chaos, drawn from a seed, for very many steps: reloads, bad builds, deaths, a full disk, no descriptors, another
 * time, upgrades, under load, with all that must be so looked at after each.
 *
 * Unit: steps without a fault, requests lost beyond those in hand of killed workers, growth of descriptors and of memory. `--steps N` (10,000),
 * `--minutes M` at most, `--seed S` plays one again. Wrong when it is read as speed: nothing is timed. SIGINT ends it after the step under way.
 */
import { seen } from '../test/chaos/invariants.ts';
import { STEPS } from '../test/chaos/steps.ts';
import { type Drawn, nameOf, walk } from '../test/chaos/walk.ts';
import { beginWorld, type Held, type World } from '../test/chaos/world.ts';
import type { Tally } from '../test/load/tally.ts';
import { testSeed } from '../test/seed.ts';
import { enterNamespace } from './machine.ts';
import { digits, report } from './report.ts';

enterNamespace();
const small = process.argv.includes('--small');
const wanted = number('--steps') ?? (small ? 3 : 10_000);
const minutes = number('--minutes') ?? Number.POSITIVE_INFINITY;
const seed = number('--seed') ?? testSeed();
const PROGRESS_STEPS = 10;
/** 128 and the signal's number, as a shell has it. */
const SIGINT_EXIT = 130;

/** What was seen after one step. */
interface Moment {
  readonly step: number;
  readonly memory: Held;
  readonly descriptors: Held;
}

const taken: Drawn[] = [];
const moments: Moment[] = [];
const processes = { inits: new Set<number>(), supervisors: new Set<number>(), workers: new Set<number>() };
let tallies: readonly Tally[] = [];
let mayLose = 0;
let isInterrupted = false;
let failure: Error | null = null;

const endAtMs = performance.now() + minutes * 60_000;
const endings: (() => Promise<void>)[] = [];
process.on('SIGINT', () => (isInterrupted = true));
try {
  const world = await beginWorld({ after: (end) => void endings.push(end) });
  await see(world);
  await walk({
    world,
    seed,
    steps: wanted,
    again: (steps) => `npx tsx bench/soak.ts --seed ${seed} --steps ${steps}`,
    async taken(step) {
      taken.push(step);
      await see(world);
      if (taken.length % PROGRESS_STEPS === 0) process.stderr.write(`${taken.length} of ${wanted} steps, ${lost()} lost\n`);
      return !isInterrupted && performance.now() < endAtMs;
    },
  });
} catch (error) {
  // A terminal's SIGINT reaches the clients and the command under way, too.
  if (!isInterrupted) failure = error as Error;
}
account();
for (const end of endings) await end().catch((error: Error) => (failure ??= error));
if (failure !== null) {
  process.stderr.write(`${failure.message}\n`);
  process.exitCode = 1;
} else if (isInterrupted) process.exitCode = SIGINT_EXIT;

async function see(world: World): Promise<void> {
  const { list, memory, descriptors } = await seen(world);
  processes.inits.add(list.init.pid);
  processes.supervisors.add(list.supervisor.pid);
  for (const { workers } of list.apps) for (const { pid } of workers) processes.workers.add(pid);
  moments.push({ step: taken.length, memory, descriptors });
  tallies = await Promise.all(world.loads.map(async (load) => load.peek()));
  mayLose = world.model.mayLose;
}

function lost(): number {
  return tallies.reduce((sum, tally) => sum + tally.lost, 0);
}

function account(): void {
  const times = (name: string, isMet: (step: Drawn) => boolean): number => taken.filter((step) => step.name === name && isMet(step)).length;
  const requests = tallies.reduce((sum, tally) => sum + tally.requests, 0);
  const [first, last] = [moments[0], moments.at(-1)];
  const most = (of: (moment: Moment) => number): number => Math.max(0, ...moments.map(of));
  const growth = (what: string, of: (moment: Moment) => number, unit: number): string =>
    first === undefined || last === undefined
      ? `${what}: nothing was seen`
      : `${what}: ${digits(of(first) / unit)} first, ${digits(of(last) / unit)} last, ${digits(most(of) / unit)} at most`;
  report({
    name: 'soak',
    question: `Does it last? ${taken.length} random steps under load, of ${wanted}`,
    small,
    columns: ['step', 'taken', 'with a death in its middle'],
    rows: Object.keys(STEPS).map((name) => [name, String(times(name, () => true)), String(times(name, ({ death }) => death !== null))]),
    judged: [],
    notes: [
      `seed ${seed}; ${ending()}`,
      `${requests} requests, ${lost()} lost, of ${mayLose} that may have been in hand of killed workers`,
      `processes seen: ${processes.inits.size} covet-init, ${processes.supervisors.size} supervisors, ${processes.workers.size} workers`,
      growth('memory of covet-init, MB', ({ memory }) => memory.init, 1e6),
      growth('memory of the supervisor, MB', ({ memory }) => memory.supervisor, 1e6),
      growth('descriptors of covet-init', ({ descriptors }) => descriptors.init, 1),
      growth('descriptors of the supervisor', ({ descriptors }) => descriptors.supervisor, 1),
    ],
    samples: { seed, taken: taken.map(nameOf), moments, tallies },
  });
}

function ending(): string {
  if (failure !== null) return `ended by a fault: ${failure.message.split('\n')[0]}`;
  if (isInterrupted) return 'interrupted';
  return taken.length < wanted ? `${minutes} minutes were over` : 'all taken';
}

function number(flag: string): number | null {
  const at = process.argv.indexOf(flag);
  return at === -1 ? null : Number(process.argv[at + 1]);
}
