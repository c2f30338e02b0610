/**
 * What must be so after each step, whatever it was: the home comes to what the model says within a deadline, on disk too; nothing is lost that
 * may not be; no process, zombie, slot or descriptor is left over; and memory does not grow.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../promises/eventually.ts';
import { openFds, rssBytes, zombiesOf } from '../promises/processes.ts';
import { type Held, type List, type Model, type Seen, WEB_WORKERS_MAX, type World } from './world.ts';

const SETTLE_MS = 60_000;

/** Observed follows wanted. Resolves with what is observed. */
export async function settled({ served: { home }, model, first }: World): Promise<List> {
  let list: List | undefined;
  let problems: string[] = [];
  const look = async (): Promise<List | false> => {
    // What still dies of the step may cut off a look.
    const result = await home.covet('list', '--json');
    problems = [`list: exit ${result.code}: ${result.stderr}${result.stdout}`];
    if (result.code !== 0) return false;
    list = result.as('list');
    problems = [...problemsOf(list, model), ...wantedProblems(home.path, model)];
    if (problems.length === 0) problems = [...leftOver(home, list), ...(first === null ? [] : grown(list, first))];
    return problems.length === 0 && list;
  };
  return eventually('the home to be as the model says', look, SETTLE_MS).catch(async (error: Error) => {
    const history = await home.history(40);
    throw new Error(`${error.message}: ${problems.join('; ')}\n${JSON.stringify(list)}\n${history}\n${home.log()}`, { cause: error });
  });
}

/** Apps that there must be, and how many workers each has; a stopped one has none. */
function expected(model: Model): Map<string, { workers: number; isWanted: boolean }> {
  const apps = new Map([['web', { workers: model.web, isWanted: true }]]);
  if (model.side !== null) apps.set('side', { workers: model.side, isWanted: !model.isSideStopped });
  return apps;
}

function problemsOf({ apps }: List, model: Model): string[] {
  const problems: string[] = [];
  const wanted = expected(model);
  for (const { name } of apps) if (!wanted.has(name)) problems.push(`${name} is there`);
  for (const [name, { workers, isWanted }] of wanted) {
    const app = apps.find((one) => one.name === name);
    const isUp =
      app?.status === 'online' &&
      app.workers.length === workers &&
      app.workers.every((worker) => worker.state === 'ready' && worker.generation === app.generation);
    if (isWanted && !isUp) problems.push(`${name} is not online with ${workers} workers`);
    if (!isWanted && app?.status !== 'stopped') problems.push(`${name} is not stopped`);
  }
  return problems;
}

interface Wanted {
  readonly apps: readonly {
    readonly config: { readonly name: string; readonly instances: unknown };
    readonly isWanted: boolean;
    readonly isDeleting?: boolean;
  }[];
}

/** What is wanted is on disk, and nothing else is. */
function wantedProblems(home: string, model: Model): string[] {
  const { apps } = JSON.parse(readFileSync(join(home, 'state/wanted.json'), 'utf8')) as Wanted;
  const told = apps
    .filter(({ isDeleting }) => isDeleting !== true)
    .map(({ config, isWanted }) => `${config.name} ${String(config.instances)} ${isWanted}`);
  const right = [...expected(model)].map(([name, { workers, isWanted }]) => `${name} ${workers} ${isWanted}`);
  return told.toSorted().join() === right.toSorted().join() ? [] : [`wanted.json says ${told.join()}, not ${right.join()}`];
}

/** Processes and zombies that nobody has. */
export function leftOver(home: Pick<World['served']['home'], 'processes'>, { apps, init, supervisor }: List): string[] {
  // What one of these has started is its own. A child of covet-init may be anybody's: every worker that was lost would be one.
  const parents = new Set([supervisor.pid, ...apps.flatMap(({ workers }) => workers.map(({ pid }) => pid))]);
  const known = new Set([init.pid, ...parents]);
  const processes = home
    .processes()
    .filter(({ pid, ppid, command }) => !known.has(pid) && !parents.has(ppid) && !command.includes('covet-pm.cjs'));
  const problems = processes.map(({ pid, command }) => `process ${pid} is nobody's: ${command}`);
  for (const { pid, ppid } of zombiesOf(known)) problems.push(`zombie ${pid} of ${ppid}`);
  return problems;
}

/** Descriptors that a supervisor and a covet-init have for one app, one worker of it, and one slot that ever was, at most. */
const PER_APP: Held = { init: 1, supervisor: 4 };
const PER_WORKER: Held = { init: 5, supervisor: 8 };
const PER_SLOT: Held = { init: 2, supervisor: 2 };
/** A command's connection that is about to close is waited for; a heap that will be collected is not. */
const MEMORY_GROWTH_MAX: Held = { init: 4_000_000, supervisor: 48_000_000 };

/** What is held beyond what it was in the beginning, less what the apps need. */
function grown(list: List, first: Seen): string[] {
  const [descriptors, memory] = [descriptorsOf(list), memoryOf(list)];
  const needed = (who: keyof Held, apps: List['apps'], slots: number | null): number =>
    apps.reduce((sum, { workers }) => sum + PER_APP[who] + PER_WORKER[who] * workers.length + PER_SLOT[who] * (slots ?? workers.length), 0);
  return (['init', 'supervisor'] as const).flatMap((who) => {
    const descriptorsMax = first.descriptors[who] - needed(who, first.list.apps, null) + needed(who, list.apps, WEB_WORKERS_MAX);
    const memoryMax = first.memory[who] + MEMORY_GROWTH_MAX[who];
    return [
      ...(descriptors[who] > descriptorsMax ? [`${who} has ${descriptors[who]} descriptors, ${descriptorsMax} at most`] : []),
      ...(memory[who] > memoryMax ? [`${who} has ${memory[who]} bytes of memory, ${memoryMax} at most`] : []),
    ];
  });
}

export async function assertNotLost({ model, loads }: World): Promise<void> {
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

/** Covet-init and supervisor as they are at this moment. */
export async function seen(world: World): Promise<Seen> {
  const list = await settled(world);
  return { list, descriptors: descriptorsOf(list), memory: memoryOf(list) };
}

export function descriptorsOf({ init, supervisor }: List): Held {
  return { init: openFds(init.pid).length, supervisor: openFds(supervisor.pid).length };
}

function memoryOf({ init, supervisor }: List): Held {
  return { init: rssBytes(init.pid), supervisor: rssBytes(supervisor.pid) };
}
