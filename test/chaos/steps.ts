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
import { said, type Served } from '../promises/served.ts';

/** The state that must be so once things have settled. */
export interface Model {
  web: number;
  /** Workers of `side`; null when there is no such app. */
  side: number | null;
  isSideStopped: boolean;
  builds: number;
  /** Requests that may be lost: those in flight in workers that were killed. */
  mayLose: number;
}

export interface World {
  readonly served: Served;
  readonly model: Model;
  /** Connections of all clients. */
  readonly connections: number;
  /** A package of another version. */
  readonly otherVersion: string;
  readonly random: () => number;
  /** A death is under way beside the step: whatever command was given may be cut off. */
  isDisturbed: boolean;
}

export type Step = (world: World) => Promise<void>;

const SIDE_WORKERS = 2;
const CALM = { minHealthyMs: 100, restart: { delayMs: 10, delayMaxMs: 50, intensity: 1_000 } };

/** Exit 0, or 1 where a death may have cut it off; anything else is a fault. True when it was carried out. */
async function ask(world: World, ...args: string[]): Promise<boolean> {
  const result = await world.served.home.covet(...args);
  if (result.code === 0) return true;
  if (world.isDisturbed && result.code === 1) return false;
  throw new Error(`covet-pm ${args.join(' ')}: ${said(result)}\n${await world.served.home.history(40)}`);
}

/** A worker that left by itself since it was looked up needs no signal. */
function signalIfThere(pid: number, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

const pick = <T>(random: () => number, list: readonly T[]): T => list[Math.floor(random() * list.length)]!;

async function actual(world: World, name: string): Promise<{ wanted: number; isStopped: boolean } | null> {
  const app = (await world.served.home.list()).apps.find((one) => one.name === name);
  return app === undefined ? null : { wanted: app.wanted, isStopped: app.status === 'stopped' || app.status === 'stopping' };
}

/** What was asked for is so; where a death was beside it, it may have been done or not: then what is there is what must stay. */
async function settleSide(world: World, asked: { readonly workers: number | null; readonly isStopped: boolean }): Promise<void> {
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
  async badReload(world) {
    const { deployment, home } = world.served;
    const bad = pick(world.random, ['throws-at-import.cjs', 'throws-after-listen.cjs', 'exits-within-min-healthy.cjs']);
    deployment.release(`c${++world.model.builds}`, bad);
    const result = await home.covet('reload', 'web');
    deployment.release(`c${++world.model.builds}`, 'http.cjs');
    if (result.code !== 1) throw new Error(`A bad build (${bad}) was accepted: ${said(result)}`);
  },
  async scale(world) {
    const wanted = 1 + Math.floor(world.random() * 4);
    if (await ask(world, 'scale', 'web', String(wanted))) world.model.web = wanted;
    else world.model.web = (await actual(world, 'web'))?.wanted ?? 0;
  },
  async killWorker(world) {
    const pid = pick(world.random, await world.served.home.pids());
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
    process.kill((await world.served.home.list()).supervisor.pid, 'SIGKILL');
  },
  async killInit(world) {
    process.kill((await world.served.home.list()).init.pid, 'SIGKILL');
  },
  async stopAndContinueSupervisor(world) {
    const { pid } = (await world.served.home.list()).supervisor;
    process.kill(pid, 'SIGSTOP');
    await world.served.home.covet('--version');
    process.kill(pid, 'SIGCONT');
  },
  async stopAndContinueWorker(world) {
    const pid = pick(world.random, await world.served.home.pids());
    signalIfThere(pid, 'SIGSTOP');
    try {
      await world.served.home.covet('list');
    } finally {
      signalIfThere(pid, 'SIGCONT');
    }
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
    const { supervisor } = await world.served.home.list();
    const limit = /^Max open files +(\d+) +(\d+)/m.exec(readFileSync(`/proc/${supervisor.pid}/limits`, 'utf8'))!;
    const setLimit = (soft: number | string): void => {
      spawnSync('prlimit', ['--pid', String(supervisor.pid), `--nofile=${soft}:${limit[2]}`]);
    };
    setLimit(openFds(supervisor.pid).length + 4);
    try {
      const { code } = await world.served.home.covet('scale', 'web', '4');
      if (code === 0) world.model.web = 4;
      else if (code !== 1) throw new Error(`Expected exit 0 or 1 without descriptors, got ${code}`);
    } finally {
      setLimit(limit[1]!);
    }
    world.model.web = (await actual(world, 'web'))?.wanted ?? 0;
  },
  async upgrade(world) {
    const current = (await world.served.home.covet('ping', '--json')).as('ping').folder;
    await ask(world, 'upgrade', ...(current.includes('/versions/0.2.0-') ? ['--back'] : ['--to', world.otherVersion]));
  },
};

/** Steps during which another may be drawn to happen. */
export const DISTURBING = ['killSupervisor', 'killInit', 'killWorker'] as const;
