/**
 * What may happen to a home, as the walk draws it. `web` serves under load throughout; `side` comes and goes. A step that meets a death may
 * fail with exit 1, which its caller is told; it must never leave anything half done, which the walk looks at after each.
 */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../promises/eventually.ts';
import { SHORT } from '../promises/home.ts';
import { openFds } from '../promises/processes.ts';
import { repositoryRoot } from '../promises/root.ts';
import { said } from '../promises/served.ts';
import { settled } from './invariants.ts';
import { CALM, type List, OTHER_VERSION, setClock, WEB_WORKERS_MAX, type World } from './world.ts';

/** `random` is the step's own, so that what one step draws never changes what the next one is. */
export type Step = (world: World, random: () => number) => Promise<void>;

const SIDE_WORKERS = 2;
const CLOCK_OFF_DAYS_MAX = 30;

/** True when it was carried out, false when it was refused. */
async function mayAsk(world: World, ...args: string[]): Promise<boolean> {
  const result = await world.served.home.covet(...args);
  if (result.code === 0 || result.code === 1) return result.code === 0;
  throw new Error(`covet-pm ${args.join(' ')}: ${said(result)}`);
}

/** Exit 0, or 1 where a death may have cut it off; anything else is a fault. True when it was carried out. */
async function ask(world: World, ...args: string[]): Promise<boolean> {
  const result = await world.served.home.covet(...args);
  if (result.code === 0) return true;
  if (world.isDisturbed && result.code === 1) return false;
  throw new Error(`covet-pm ${args.join(' ')}: ${said(result)}\n${await world.served.home.history(40)}`);
}

/** A look that a death cuts off is repeated, as whoever looks would. */
async function look(world: World): Promise<List> {
  if (!world.isDisturbed) return world.served.home.list();
  return eventually('list to answer', async () => world.served.home.list().catch(() => false as const));
}

/** Pids of web's: one at least, for its successor comes. */
async function workersOf(world: World): Promise<number[]> {
  return eventually('a worker of web', async () => {
    const web = (await look(world)).apps.find(({ name }) => name === 'web');
    const pids = (web?.workers ?? []).flatMap(({ pid }) => (pid === 0 ? [] : pid));
    return pids.length > 0 && pids;
  });
}

/** A worker that left by itself since it was looked up needs no signal. */
function signalIfThere(pid: number, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Whoever it is may be killed meanwhile. */
async function stopAndContinue(pid: number, meanwhile: () => Promise<unknown>): Promise<void> {
  signalIfThere(pid, 'SIGSTOP');
  try {
    await meanwhile();
  } finally {
    signalIfThere(pid, 'SIGCONT');
  }
}

const pick = <T>(random: () => number, list: readonly T[]): T => list[Math.floor(random() * list.length)]!;

async function actual(world: World, name: string): Promise<{ wanted: number; isStopped: boolean } | null> {
  const app = (await look(world)).apps.find((one) => one.name === name);
  return app === undefined ? null : { wanted: app.wanted, isStopped: app.status === 'stopped' };
}

/** What was asked for is so; where a death was beside it, it may have been done or not: then what comes of it is what must stay. */
async function settleSide(world: World, asked: { readonly workers: number | null; readonly isStopped: boolean }): Promise<void> {
  // One that stops may be on its way out of the list.
  const isSettled = async (): Promise<boolean> =>
    (await look(world)).apps.every(({ name, status }) => name !== 'side' || status !== 'stopping');
  if (world.isDisturbed) await eventually('side to be stopped, or gone', isSettled);
  const side = world.isDisturbed ? await actual(world, 'side') : { wanted: asked.workers, isStopped: asked.isStopped };
  world.model.side = side?.wanted ?? null;
  world.model.isSideStopped = side?.isStopped ?? false;
}

export const STEPS: Readonly<Record<string, Step>> = {
  async reload(world) {
    const { deployment } = world.served;
    deployment.release(`c${++world.model.builds}`, 'http.cjs');
    await ask(world, 'reload', 'web');
  },
  async badReload(world, random) {
    const { deployment, home } = world.served;
    const bad = pick(random, ['throws-at-import.cjs', 'throws-after-listen.cjs', 'exits-within-min-healthy.cjs']);
    deployment.release(`c${++world.model.builds}`, bad);
    const result = await home.covet('reload', 'web');
    deployment.release(`c${++world.model.builds}`, 'http.cjs');
    if (result.code !== 1) throw new Error(`A bad build (${bad}) was accepted: ${said(result)}`);
  },
  async scale(world, random) {
    const wanted = 1 + Math.floor(random() * WEB_WORKERS_MAX);
    if (await ask(world, 'scale', 'web', String(wanted))) world.model.web = wanted;
    else world.model.web = (await actual(world, 'web'))?.wanted ?? 0;
  },
  async killWorker(world, random) {
    const pid = pick(random, await workersOf(world));
    world.model.mayLose += world.connections;
    signalIfThere(pid, 'SIGKILL');
  },
  async startSide(world) {
    const { home, deployment } = world.served;
    if (world.model.side !== null) return;
    const { script, folder: cwd } = deployment;
    const result = await home.tryStart({ ...SHORT, ...CALM, name: 'side', script, cwd, instances: SIDE_WORKERS, env: { PORT: '0' } });
    if (result.code !== 0 && !(world.isDisturbed && result.code === 1)) throw new Error(`start side: ${said(result)}`);
    await settleSide(world, { workers: SIDE_WORKERS, isStopped: false });
  },
  async stopSide(world) {
    if (world.model.side !== null && !world.model.isSideStopped) await ask(world, 'stop', 'side');
    await settleSide(world, { workers: world.model.side, isStopped: true });
  },
  async restartSide(world) {
    if (world.model.side !== null) await ask(world, 'restart', 'side');
    await settleSide(world, { workers: world.model.side, isStopped: false });
  },
  async deleteSide(world) {
    if (world.model.side !== null) await ask(world, 'delete', 'side');
    await settleSide(world, { workers: null, isStopped: false });
  },
  async killSupervisor(world) {
    signalIfThere((await look(world)).supervisor.pid, 'SIGKILL');
  },
  async killInit(world) {
    signalIfThere((await look(world)).init.pid, 'SIGKILL');
  },
  async stopAndContinueSupervisor(world) {
    await stopAndContinue((await look(world)).supervisor.pid, async () => world.served.home.covet('--version'));
  },
  async stopAndContinueInit(world) {
    await stopAndContinue((await look(world)).init.pid, async () => world.served.home.covet('list'));
  },
  async stopAndContinueWorker(world, random) {
    await stopAndContinue(pick(random, await workersOf(world)), async () => world.served.home.covet('list'));
  },
  async changeEnv(world) {
    await ask(world, 'reload', 'web', '--update-env');
  },
  async cutLogReader(world) {
    const reader = world.served.home.spawn(['logs', 'web', '-f', '--lines', '100']);
    const ended = once(reader, 'close');
    await once(reader.stdout!, 'data');
    reader.kill('SIGKILL');
    await ended;
  },
  /** Until its log was rotated: more than a megabyte, twice. */
  async floodLogs(world) {
    const { home } = world.served;
    const script = join(repositoryRoot(), 'test/fixtures/apps/floods-output.cjs');
    const logs = { bytesMax: 1_000_000, filesMax: 1 };
    const result = await home.tryStart({
      ...SHORT,
      ...CALM,
      drainTimeoutMs: 1_000,
      name: 'flood',
      script,
      instances: 1,
      env: { PORT: '0' },
      logs,
    });
    if (result.code === 0) await eventually('a rotation', () => existsSync(`${home.logFile('out', 'flood')}.1`));
    else if (!(world.isDisturbed && result.code === 1)) throw new Error(`start flood: ${said(result)}`);
    // However far the start came: a death may cut off the end of it, too.
    await eventually('the flood to end', async () => {
      if ((await actual(world, 'flood')) === null) return true;
      await home.covet('delete', 'flood');
      return false;
    });
  },
  /** The supervisor has no descriptor to spare: what is asked of it is done or refused, and what runs runs on. */
  async exhaustDescriptors(world) {
    const { home } = world.served;
    const { supervisor } = await look(world);
    // node raises its own limit as far as it may, in the supervisor as here.
    const limit = /^Max open files +\d+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))![1]!;
    const setLimit = (pid: number, soft: number | string): void => {
      spawnSync('prlimit', ['--pid', String(pid), `--nofile=${soft}:${limit}`]);
    };
    setLimit(supervisor.pid, openFds(supervisor.pid).length + 4);
    try {
      await mayAsk(world, 'scale', 'web', String(WEB_WORKERS_MAX));
    } finally {
      // Where it became covet-init meanwhile, the next supervisor has it from there.
      for (const { pid } of home.processes()) setLimit(pid, limit);
    }
    world.model.web = (await actual(world, 'web'))?.wanted ?? 0;
  },
  /** What is wanted cannot be changed, and is not; what runs runs on, and what dies comes back. */
  async fillDisk(world, random) {
    const { home } = world.served;
    if (home.disk === null) return;
    home.disk.fill();
    try {
      const wanted = 1 + Math.floor(random() * WEB_WORKERS_MAX);
      if (await mayAsk(world, 'scale', 'web', String(wanted))) world.model.web = wanted;
      else if (world.isDisturbed) world.model.web = (await actual(world, 'web'))?.wanted ?? 0;
      await STEPS['killWorker']!(world, random);
      await settled(world);
    } finally {
      home.disk.free();
    }
  },
  /** For good: whatever comes later happens at that time. */
  async moveClock(world, random) {
    setClock(world, Math.round((random() * 2 - 1) * CLOCK_OFF_DAYS_MAX * 86_400_000));
    await ask(world, 'events', '--last', '5');
  },
  async upgrade(world) {
    const isOther = (await look(world)).supervisor.version === OTHER_VERSION;
    await ask(world, 'upgrade', ...(isOther ? ['--back'] : ['--to', world.otherVersion]));
  },
};

/** Steps during which another may be drawn to happen. */
export const DISTURBING = ['killSupervisor', 'killInit', 'killWorker'] as const;
