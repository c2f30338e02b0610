/**
 * Starts the supervisor where there is none: makes the home, spawns covet-init detached with a pipe for its first word, and waits
 * for `ready` or `error <sentence>` on it. covet-init holds a lock: of two that start at once one wins, and the other, told that one is
 * "already running", connects to that.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, closeSync, constants as files, readFileSync, readdirSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { binary, native, packageRoot } from '../native/index.ts';
import { findLeft } from '../supervisor/protocol/left-workers.ts';
import { CovetError, nativePart } from '../supervisor/protocol/errors.ts';
import type { Paths } from '../supervisor/protocol/paths.ts';
import { processStat } from '../supervisor/protocol/proc-files.ts';
import { connect, type Client, type ConnectOptions } from './client.ts';
import { callerPaths, downError } from './connection.ts';
import { prepareHome } from './home.ts';
import { systemctl, unitOfHome } from './systemd/systemctl.ts';
import { placeVersion, withVersions } from './versions.ts';

export { nativePart };

const START_DEADLINE_MS = 30_000;
/** Between two looks at something another process is doing. */
const POLL_MS = 50;
const LOG_LINES_SHOWN = 5;
const LOG_BYTES_READ = 8_192;
const STACK_LINE = /^\s+at /;
const READY_FD = 3;

/**
 * What of the caller's environment the supervisor gets. Apps get theirs with `start`; so a secret of this shell, or a NODE_OPTIONS
 * meant for something else, does not end up in a process that lives on.
 */
const ENV_PASSED =
  /^(PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|XDG_\w+|COVET_\w+|(RUNTIME|STATE|LOGS)_DIRECTORY|ASAN_OPTIONS|UBSAN_OPTIONS)$/;

export interface EnsureOptions extends Pick<ConnectOptions, 'onOther'> {
  /** Before one is started, with the CPUs that it will be allowed: throws what speaks against it. */
  readonly beforeStart?: (cpus: readonly number[]) => void;
}

/** A connection to the supervisor, which is started if need be. Throws COVET_ERR_SUPERVISOR_START, COVET_ERR_HOME_*, COVET_ERR_NATIVE_MISSING. */
export async function ensureSupervisor({ onOther, beforeStart }: EnsureOptions = {}): Promise<Client> {
  const paths = callerPaths();
  const until = performance.now() + START_DEADLINE_MS;
  for (;;) {
    const client = await connectIfThere(START_DEADLINE_MS, onOther);
    if (client !== null) return client;
    const unit = unitOfHome(paths);
    if (unit !== null) {
      systemctl(unit.scope, 'start', unit.name);
      return connect({ onOther });
    }
    beforeStart?.(nativePart(native).affinity(0));
    prepareHome(paths);
    const word = await withVersions(paths, () => firstWord(paths));
    if (word === 'ready') return connect({ onOther });
    if (!word.startsWith('error already running')) throw startError(paths, word.replace(/^error /, ''));
    /* Its holder is coming up, or going down: soon there is one to connect to, or none in the way. */
    if (performance.now() > until) throw startError(paths, `covet-init is ${word.replace(/^error /, '')}, but no supervisor answers.`);
    await pause();
  }
}

/** A connection to the supervisor that runs, or null. Throws when there is one that cannot be used. */
export async function connectIfThere(deadlineMs?: number, onOther?: ConnectOptions['onOther']): Promise<Client | null> {
  try {
    return await connect({ deadlineMs, onOther });
  } catch (error) {
    if (error instanceof CovetError && error.code === 'COVET_ERR_SUPERVISOR_ABSENT') return null;
    throw error;
  }
}

/** covet-init's command line, with the supervisor's after it, from the package in `folder`. Throws COVET_ERR_NATIVE_MISSING. */
export function initCommand(
  paths: Paths,
  options: readonly string[],
  folder = packageRoot(),
): readonly [program: string, ...args: string[]] {
  nativePart(() => binary('covet-init'));
  return [initOf(folder), ...options, '--lock', paths.lock, '--', process.execPath, join(folder, 'dist', 'supervisor.mjs')];
}

/** Waits for a process that is not ours to be gone. False when it is not by then. */
export async function processGone(pid: number, deadlineMs: number): Promise<boolean> {
  const until = performance.now() + deadlineMs;
  while (isAlive(pid)) {
    if (performance.now() > until) return false;
    await pause();
  }
  return true;
}

/** Ends a covet-init that has no supervisor to ask, and so its workers. Throws COVET_ERR_SUPERVISOR_DOWN when it lives on. */
export async function endInit(paths: Paths, pid: number, deadlineMs: number): Promise<void> {
  // What has the lock file open and is held by a pidfd is covet-init, whoever gets its number later.
  const pidfd = nativePart(native).pidfdOpen(pid);
  try {
    if (hasOpen(pid, paths.lock)) native().pidfdSignal(pidfd, constants.signals.SIGTERM);
  } finally {
    closeSync(pidfd);
  }
  if (!(await processGone(pid, deadlineMs))) throw downError(paths, pid, `It did not end within ${deadlineMs} ms of SIGTERM.`);
}

/** Starts covet-init and gives the line it says first. It goes on by itself once it is `ready`. */
async function firstWord(paths: Paths): Promise<string> {
  // From a copy of its own: what becomes of the installed package is nothing to it.
  nativePart(() => binary('covet-init'));
  const folder = folderToRunFrom(paths);
  const command = initCommand(paths, ['--ready-fd', String(READY_FD), '--log', paths.supervisorLog], folder);
  // Beside workers that are there still, others would be started in their place.
  const isLeft = findLeft(paths) !== null;
  const [program, ...args] = isLeft ? ([process.execPath, join(folder, 'dist', 'recover.mjs'), ...command] as const) : command;
  const child = spawn(program, args, {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    cwd: paths.home,
    env: supervisorEnv(),
  });
  try {
    return await lineOrEnd(child);
  } catch (error) {
    child.kill('SIGTERM');
    throw error instanceof CovetError ? error : startError(paths, (error as Error).message);
  } finally {
    child.stdio[READY_FD]?.destroy();
    child.unref();
  }
}

/** The copy; or the package itself where nothing in the home may be executed (noexec), which `doctor` tells. */
export function folderToRunFrom(paths: Paths): string {
  const folder = placeVersion(paths, packageRoot());
  try {
    accessSync(initOf(folder), files.X_OK);
    return folder;
  } catch {
    return packageRoot();
  }
}

function initOf(folder: string): string {
  return join(folder, 'prebuilds', `linux-${process.arch}`, 'covet-init');
}

function lineOrEnd(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`it said nothing for ${START_DEADLINE_MS / 1_000} s.`)), START_DEADLINE_MS);
    let text = '';
    const pipe = child.stdio[READY_FD] as Readable;
    const settle = () => {
      clearTimeout(timer);
      const [line = ''] = text.split('\n', 1);
      if (text.includes('\n')) resolve(line);
      else reject(new Error('it ended before it was ready.'));
    };
    pipe.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n')) settle();
    });
    pipe.on('end', settle);
    child.on('error', reject);
  });
}

/** What of the caller's environment the supervisor gets. */
export function supervisorEnv(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [key, value] of Object.entries(process.env)) if (value !== undefined && ENV_PASSED.test(key)) env[key] = value;
  /* A relative home means the caller's folder; the supervisor lives in another. */
  if (env['COVET_HOME']) env['COVET_HOME'] = callerPaths().home;
  return env;
}

function startError(paths: Paths, reason: string): CovetError {
  const lines = lastLines(paths.supervisorLog);
  return new CovetError('COVET_ERR_SUPERVISOR_START', {
    reason: [reason, ...(lines.length > 0 ? [`${paths.supervisorLog} ends with:`, ...lines] : [])].join('\n'),
  });
}

function lastLines(path: string): string[] {
  try {
    const lines = readFileSync(path).subarray(-LOG_BYTES_READ).toString().split('\n');
    return lines.filter((line) => line !== '' && !STACK_LINE.test(line)).slice(-LOG_LINES_SHOWN);
  } catch {
    return []; /* It never came to write one. */
  }
}

function hasOpen(pid: number, path: string): boolean {
  const { dev, ino } = statSync(path);
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    const stat = statSync(`/proc/${pid}/fd/${fd}`, { throwIfNoEntry: false });
    return stat?.dev === dev && stat.ino === ino;
  });
}

/** A zombie has ended: when it is reaped is its parent's affair, which may be a container's PID 1 that takes its time. */
function isAlive(pid: number): boolean {
  const stat = processStat(pid);
  return stat !== null && stat.state !== 'Z';
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
