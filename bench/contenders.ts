/**
 * Who is measured, each serving the same app with the same number of workers on the server's CPU: bare node, node:cluster with both
 * policies, PM2 in cluster mode, covet-pm. All run at the same time and are asked in turn; an idle one costs next to nothing.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../test/promises/eventually.ts';
import { Home } from '../test/promises/home.ts';
import { freePort } from '../test/promises/ports.ts';
import { processesOf } from '../test/promises/processes.ts';
import { repositoryRoot } from '../test/promises/root.ts';
import { onCpu, SERVER_CPU, treeOf } from './machine.ts';

export const CONTENDERS = ['covet-pm', 'cluster NONE', 'cluster RR', 'bare node', 'pm2'] as const;
export type ContenderName = (typeof CONTENDERS)[number];

export interface Contender {
  readonly name: ContenderName;
  readonly port: number;
  /** Every process of it, managers too. */
  pids(): number[];
  workers(): Promise<number[]>;
  end(): Promise<void>;
}

const PEERS = join(repositoryRoot(), 'bench/peers');
const APP = join(PEERS, 'http-app.cjs');

/** Starts one, and resolves when it answers. `app` is a file that listens on PORT. */
export async function startContender(name: ContenderName, workers: number, app = APP): Promise<Contender> {
  const port = await freePort();
  const contender = await start(name, port, workers, app);
  await eventually(`${name} to answer`, async () => answers(port));
  return contender;
}

/** Installs PM2 into bench/peers when it is not there: on demand, by its own lock file, never as a dependency of ours. Needs a network. */
export function installPm2(): void {
  if (!havePm2()) spawnSync('npm', ['ci', '--ignore-scripts'], { cwd: PEERS, stdio: ['ignore', 'ignore', 'inherit'] });
}

export function havePm2(): boolean {
  return existsSync(join(PEERS, 'node_modules/pm2'));
}

/** Whether the port answers 200 now. */
export async function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.on('error', () => resolve(false)).end();
  });
}

async function start(name: ContenderName, port: number, workers: number, app: string): Promise<Contender> {
  switch (name) {
    case 'bare node':
      return plain(name, port, [app], {});
    case 'cluster RR':
    case 'cluster NONE':
      return plain(name, port, [join(PEERS, 'cluster.cjs')], {
        SCHEDULING: name === 'cluster NONE' ? 'none' : 'rr',
        APP: app,
        INSTANCES: String(workers),
      });
    case 'pm2':
      return pm2(port, workers, app);
    case 'covet-pm':
      return covet(port, workers, app);
  }
}

function plain(name: ContenderName, port: number, args: readonly string[], env: Record<string, string>): Contender {
  const child = serverProcess([process.execPath, ...args], { ...env, PORT: String(port) });
  const pids = (): number[] => treeOf(child.pid ?? 0);
  return { name, port, pids, workers: async () => (pids().length > 1 ? pids().slice(1) : pids()), end: async () => endChild(child) };
}

async function covet(port: number, workers: number, app: string): Promise<Contender> {
  const home = new Home({ prefix: onCpu(SERVER_CPU, []) });
  await home.start({ script: app, instances: workers, minHealthyMs: 500, env: { PORT: String(port) } });
  return {
    name: 'covet-pm',
    port,
    pids: () => home.processes().map(({ pid }) => pid),
    workers: async () => home.pids(),
    end: async () => home.end(),
  };
}

async function pm2(port: number, workers: number, app: string): Promise<Contender> {
  const home = mkdtempSync(join(tmpdir(), 'pm2-'));
  // PROOF_HOME marks what is ours among the processes, as it does for covet-pm.
  const env = { PM2_HOME: home, PORT: String(port), PROOF_HOME: home, PM2_DISCRETE_MODE: 'true' };
  const run = async (...args: string[]): Promise<void> => {
    const child = serverProcess([process.execPath, join(PEERS, 'node_modules/pm2/bin/pm2'), ...args], env);
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error(`pm2 ${args.join(' ')} ended with ${String(code)}`);
  };
  await run('start', app, '--name', 'web', '-i', String(workers));
  const pids = (): number[] => processesOf(home).map(({ pid }) => pid);
  return {
    name: 'pm2',
    port,
    pids,
    workers: async () => pids().filter((pid) => processesOf(home).some((info) => info.pid === pid && pids().includes(info.ppid))),
    end: async () => {
      await run('kill');
      await eventually('pm2 to be gone', () => pids().length === 0);
      rmSync(home, { recursive: true, force: true });
    },
  };
}

function serverProcess(command: readonly string[], env: Record<string, string>): ChildProcess {
  const [program = '', ...args] = onCpu(SERVER_CPU, command);
  return spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'inherit'] });
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
