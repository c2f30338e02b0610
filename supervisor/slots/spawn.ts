/**
 * Starts a worker: covet-exec by execa, with the descriptors that covet-init made. covet-exec forks, sets the child up and leaves, so
 * that the worker is covet-init's child from its first instant; its pid and its end are told by covet-init, never by execa's promise,
 * which is awaited only to learn that covet-exec itself could not run.
 */
import type { ChildProcess } from 'node:child_process';
import { channel } from 'node:diagnostics_channel';
import { join } from 'node:path';
import { binary } from '../../native/index.ts';

export interface SpawnOrder {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Become the worker's 1 and 2. */
  readonly out: number;
  readonly err: number;
  /** Become the worker's 3, 4, 5…, in order. */
  readonly fds: readonly number[];
  /** covet-exec tells covet-init the pid, or what failed, on it. */
  readonly report: number;
  /** How many of `fds`, from the first, are sockets for LISTEN_FDS. */
  readonly listenFds: number;
  readonly uid: number | null;
  readonly gid: number | null;
  readonly noFileMax: number | null;
  readonly cpus: readonly number[] | null;
  /** The cgroup it is born in: a folder. */
  readonly cgroup: string | null;
}

/** execa takes any descriptor; its types list a few. */
const inherit = (fd: number): 3 => fd as 3;

/** Resolves when covet-exec has left; with a sentence when it could not be run at all. The caller closes its descriptors as soon as the call returns. */
export async function spawnWorker(order: SpawnOrder): Promise<string | null> {
  // A quarter of a megabyte of code: only a supervisor that starts something pays for it.
  const { execa } = await import('execa');
  const report = 3 + order.fds.length;
  return heard(async () =>
    execa(binary('covet-exec'), covetExecArgs(order, report), {
      stdio: ['ignore', inherit(order.out), inherit(order.err), ...order.fds.map(inherit), inherit(order.report)],
      env: order.env,
      extendEnv: false,
      cleanup: false,
      buffer: false,
      reject: false,
    }),
  );
}

/**
 * Where no descriptor is left, node says so by an event of a child that it has not set up, and execa (9.6.1) throws at such a child before it
 * listens: nobody would hear the event, and the supervisor would die of it.
 */
async function heard(run: () => Promise<{ readonly failed: boolean; readonly shortMessage?: string | undefined }>): Promise<string | null> {
  let told: Promise<Error | null> | undefined;
  const hear = (message: unknown): void => {
    const { process: child } = message as { process: ChildProcess };
    // One of the two comes: what execa throws for another reason is not waited out.
    told = new Promise((resolve) => child.once('error', resolve).once('spawn', () => resolve(null)));
  };
  const created = channel('child_process');
  created.subscribe(hear);
  try {
    const running = run();
    created.unsubscribe(hear);
    const { failed, shortMessage } = await running;
    return failed ? (shortMessage ?? 'covet-exec could not be run') : null;
  } catch (error) {
    return `covet-exec could not be run: ${((await told) ?? (error as Error)).message}`;
  }
}

/** Imports execa before a worker needs it, so that the first spawn does not wait. */
export async function warmSpawn(): Promise<void> {
  await import('execa');
}

function covetExecArgs(order: SpawnOrder, report: number): string[] {
  const args = ['--report', String(report), '--keep-max', String(report - 1), '--cwd', order.cwd];
  if (order.cgroup !== null) args.push('--cgroup', join(order.cgroup, 'cgroup.procs'));
  if (order.uid !== null) args.push('--uid', String(order.uid), '--gid', String(order.gid ?? order.uid));
  if (order.noFileMax !== null) args.push('--nofile', String(order.noFileMax));
  if (order.cpus !== null) args.push('--cpus', order.cpus.join(','));
  if (order.listenFds > 0) args.push('--listen-fds', String(order.listenFds));
  return [...args, '--', order.file, ...order.args];
}
