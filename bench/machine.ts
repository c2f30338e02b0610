/**
 * The machine under a benchmark: a network namespace of its own, one CPU for the server and another for the client, CPU time as
 * the kernel's scheduler accounts it, and what to print about all that (MEASURED: without a namespace a full conntrack table of
 * the host was measured instead of a server).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '../test/promises/root.ts';

export const SERVER_CPU = 0;
export const CLIENT_CPU = 1;
const IN_NAMESPACE = 'COVET_BENCH_NAMESPACE';

/**
 * Runs this very program again inside a network namespace of its own, and ends with its exit code; returns at once when it is inside.
 * `prepare` is run outside, where there is still a network.
 */
export function enterNamespace(prepare: () => void = () => {}): void {
  if (process.env[IN_NAMESPACE] === '1') return;
  prepare();
  const flags = process.getuid?.() === 0 ? ['-n'] : ['-rn'];
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const inside = spawnSync('unshare', [...flags, 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', ...again], {
    stdio: 'inherit',
    env: { ...process.env, [IN_NAMESPACE]: '1' },
  });
  if (inside.error !== undefined) throw new Error(`Expected unshare(1) to make a network namespace: ${inside.error.message}`);
  process.exit(inside.status ?? 1);
}

/** The command line that runs `command` on one CPU; on a machine with one CPU, as it is. */
export function onCpu(cpu: number, command: readonly string[]): string[] {
  return availableParallelism() > cpu ? ['taskset', '-c', String(cpu), ...command] : [...command];
}

/** On-CPU time of the processes since each began, in microseconds: all threads, user and kernel (/proc/PID/task/TID/schedstat). */
export function cpuMicros(pids: readonly number[]): number {
  let nanos = 0;
  for (const pid of pids) {
    for (const tid of entries(`/proc/${pid}/task`)) nanos += Number(contents(`/proc/${pid}/task/${tid}/schedstat`).split(' ')[0] ?? 0);
  }
  return nanos / 1_000;
}

/** PSS and RSS in MB, 10⁶ bytes (/proc/PID/smaps_rollup). */
export function memoryMB(pid: number): { pss: number; rss: number } {
  const text = contents(`/proc/${pid}/smaps_rollup`);
  const field = (name: string): number => (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1_024) / 1_000_000;
  return { pss: field('Pss'), rss: field('Rss') };
}

/** The processes below `pid`, and itself. */
export function treeOf(pid: number): number[] {
  const children = entries(`/proc/${pid}/task`).flatMap((tid) =>
    contents(`/proc/${pid}/task/${tid}/children`).trim().split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(treeOf)];
}

/** Compiles a C++ tool of bench/load once, into build/bench; compiled again when its source is newer. */
export function compiled(name: string): string {
  const source = join(repositoryRoot(), 'bench/load', `${name}.cc`);
  const folder = join(repositoryRoot(), 'build/bench');
  const program = join(folder, name);
  mkdirSync(folder, { recursive: true });
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs)
    execFileSync('g++', ['-std=c++20', '-O2', '-Wall', '-Wextra', '-o', program, source], { stdio: 'inherit' });
  return program;
}

/** One line for under a table. */
export function describeMachine(): string {
  return `Linux ${release()}, ${availableParallelism()} CPUs (${cpus()[0]?.model.trim() ?? 'unknown'}), Node ${process.version}`;
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // it ended meanwhile
  }
}

function contents(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // it ended meanwhile
  }
}
