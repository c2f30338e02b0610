/**
 * What does the preload cost a worker, in memory and in start?
 *
 * Unit: MB (10⁶ bytes) of PSS and RSS, and milliseconds from the process's begin to the app's first line, and until it listens: much of
 * what the preload loads of Node before the first line a server loads anyway, and a socket is lent. Each is the difference of a pair, the
 * same app with the same flags and pipes under bare node and as a worker. Memory is a real supervisor's worker beside a bare node, both
 * alive when both are read, so that node's own pages are divided among as many; the start is the preload's alone, played a supervisor by
 * the tests' harness. Wrong when a process is read before it stands still (each is waited for), when a collection is forced (none is), or
 * when others use the server's CPU (then the start's interval is wide).
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../test/promises/eventually.ts';
import { Home } from '../test/promises/home.ts';
import { freePort } from '../test/promises/ports.ts';
import { repositoryRoot } from '../test/promises/root.ts';
import { FakeSupervisor } from '../test/worker/harness.ts';
import { answers } from './contenders.ts';
import { enterNamespace, memoryMB, onCpu, SERVER_CPU } from './machine.ts';
import { report, show } from './report.ts';
import { differenceOf, type Figure, figureOf } from './statistics.ts';

enterNamespace();
const small = process.argv.includes('--small');
const MEMORY_PAIRS = small ? 1 : 21;
const START_PAIRS = small ? 2 : 101;
const PSS_MAX = 2; // MB
const START_MAX = 10; // ms
/** A process stands still when its PSS moves by less than STILL_MB in STILL_LOOKS looks on end, STILL_MS apart. */
const STILL_MB = 0.05;
const STILL_LOOKS = small ? 2 : 5;
const STILL_MS = 100;
const APP = join(repositoryRoot(), 'bench/peers/first-line.cjs');

interface Memory {
  readonly pss: number;
  readonly rss: number;
}

interface Start {
  readonly firstLineMs: number;
  readonly firstLineCpuMs: number;
  readonly listeningMs: number;
  readonly listeningCpuMs: number;
}

interface Pairs<T> {
  readonly bare: readonly T[];
  readonly worker: readonly T[];
}

const memory = await pairsOfMemory();
const start = await pairsOfStart();
const pss = differenceOf(...each(memory, 'pss'));
const firstLine = differenceOf(...each(start, 'firstLineMs'));
report({
  name: 'preload',
  question: 'What does the preload cost a worker, in memory and in start?',
  small,
  columns: ['what', 'bare node', 'as a worker', 'difference, paired'],
  rows: [
    row('PSS, MB', each(memory, 'pss'), pss),
    row('RSS, MB', each(memory, 'rss')),
    row('begin → first line, ms', each(start, 'firstLineMs'), firstLine),
    row('CPU until the first line, ms', each(start, 'firstLineCpuMs')),
    row('begin → listening, ms', each(start, 'listeningMs')),
    row('CPU until listening, ms', each(start, 'listeningCpuMs')),
  ],
  judged: [
    { what: 'PSS of the preload, MB', figure: pss, claim: { kind: 'at most', limit: PSS_MAX } },
    { what: 'the first line is later by, ms', figure: firstLine, claim: { kind: 'at most', limit: START_MAX } },
  ],
  notes: [],
  samples: { memory, start },
});

/** As a worker, and bare. */
function each<T extends object>({ bare, worker }: Pairs<T>, key: keyof T & string): [number[], number[]] {
  const pick = (sample: T): number => Number(sample[key]);
  return [worker.map(pick), bare.map(pick)];
}

function row(what: string, [worker, bare]: readonly [number[], number[]], difference: Figure = differenceOf(worker, bare)): string[] {
  return [what, show(figureOf(bare)), show(figureOf(worker)), show(difference)];
}

/** Runs `measure` once for nothing, which fills the file cache; then in turn with the one first and the other. */
async function pairs<T>(count: number, measure: (isBareFirst: boolean) => Promise<{ bare: T; worker: T }>): Promise<Pairs<T>> {
  const all: { bare: T; worker: T }[] = [];
  for (let i = 0; i <= count; i++) all.push(await measure(i % 2 === 0));
  all.shift();
  return { bare: all.map((pair) => pair.bare), worker: all.map((pair) => pair.worker) };
}

async function pairsOfMemory(): Promise<Pairs<Memory>> {
  const home = new Home({ prefix: onCpu(SERVER_CPU, []) });
  try {
    return await pairs(MEMORY_PAIRS, (isBareFirst) => memoryPair(home, isBareFirst));
  } finally {
    await home.end();
  }
}

async function memoryPair(home: Home, isBareFirst: boolean): Promise<{ bare: Memory; worker: Memory }> {
  const [barePort, port] = [await freePort(), await freePort()];
  const startWorker = async (): Promise<unknown> =>
    home.start({ script: APP, name: 'measured', instances: 1, minHealthyMs: 0, env: { PORT: String(port) } });
  if (!isBareFirst) await startWorker();
  const [program = '', ...args] = onCpu(SERVER_CPU, [process.execPath, APP]);
  const bare = spawn(program, args, { env: { ...home.env, PORT: String(barePort) }, stdio: ['ignore', 'pipe', 'pipe'] });
  bare.stdout.resume();
  bare.stderr.resume();
  try {
    await eventually('bare node to answer', async () => answers(barePort));
    if (isBareFirst) await startWorker();
    await eventually('the worker to answer', async () => answers(port));
    const pids = [bare.pid ?? 0, ...(await home.pids('measured'))] as const;
    for (const pid of pids) await standsStill(pid);
    return { bare: memoryMB(pids[0]), worker: memoryMB(pids[1] ?? 0) };
  } finally {
    bare.kill('SIGKILL');
    await once(bare, 'exit');
    await home.covet('delete', 'measured');
  }
}

async function standsStill(pid: number): Promise<void> {
  let last = memoryMB(pid).pss;
  let looks = 0;
  await eventually(`the PSS of ${pid} to stand still`, async () => {
    await pause(STILL_MS);
    const now = memoryMB(pid).pss;
    looks = Math.abs(now - last) < STILL_MB ? looks + 1 : 0;
    last = now;
    return looks === STILL_LOOKS;
  });
}

async function pairsOfStart(): Promise<Pairs<Start>> {
  const supervisor = new FakeSupervisor();
  try {
    return await pairs(START_PAIRS, async (isBareFirst) => {
      const first = await startOnce(supervisor, isBareFirst);
      const second = await startOnce(supervisor, !isBareFirst);
      return isBareFirst ? { bare: first, worker: second } : { bare: second, worker: first };
    });
  } finally {
    await supervisor.close();
  }
}

async function startOnce(supervisor: FakeSupervisor, isBare: boolean): Promise<Start> {
  const pinned = `exec ${onCpu(SERVER_CPU, []).join(' ')} "$@"`;
  const worker = supervisor.spawn(APP, {
    mode: 'cluster', // the dearer one
    preload: isBare ? 'none' : 'argv',
    shell: isBare ? pinned : `COVET_WORKER=$$ ${pinned}`,
    env: { PORT: '0' },
  });
  const line = await worker.line(/^first line (\S+) (\S+) listening (\S+) (\S+)$/m);
  await worker.kill();
  const [firstLineMs = NaN, firstLineCpuMs = NaN, listeningMs = NaN, listeningCpuMs = NaN] = line.slice(1).map(Number);
  return { firstLineMs, firstLineCpuMs, listeningMs, listeningCpuMs };
}
