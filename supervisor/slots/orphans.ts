/**
 * Ends what an app's workers left behind: children that outlived them, also those that forked twice and left the session. They are in the
 * app's cgroup, where it has one; and they are covet-init's children by then (it is the subreaper) and carry the app's name in the
 * environment they inherited, unless they hid it. In bounded rounds, each process checked again before it is signalled and signalled by pidfd.
 */
import { readdirSync } from 'node:fs';
import { constants } from 'node:os';
import type { Native } from '../../native/index.ts';
import type { Env } from '../env.ts';
import { processStat, readIfThere } from '../protocol/proc-files.ts';

/** A fork that races the scan is found in the next round. */
const ROUNDS_MAX = 20;
const LOOK_MS = 50;

export interface Brood {
  readonly app: string;
  readonly initPid: number;
  /** The app's cgroup: nobody in it, and nothing to kill, where there is none. */
  readonly group: { pids(): readonly number[]; kill(): void };
}

/** Resolves with how many were found, once none is left or the time is over. */
export async function sweepOrphans(env: Env, brood: Brood, killTimeoutMs: number): Promise<number> {
  const seen = new Set<number>();
  const killFrom = env.nowMs() + killTimeoutMs;
  for (let round = 0; ; round++) {
    const orphans = findOrphans(brood);
    if (orphans.length === 0) return seen.size;
    const isLate = env.nowMs() >= killFrom;
    if (isLate) brood.group.kill();
    for (const pid of orphans) {
      if (seen.has(pid) && !isLate) continue;
      seen.add(pid);
      const isMeant = (): boolean => belongsTo(pid, brood.app) || brood.group.pids().includes(pid);
      signalIfStill(env.native, pid, isMeant, isLate ? constants.signals.SIGKILL : constants.signals.SIGTERM);
    }
    if (isLate && round > ROUNDS_MAX) return seen.size;
    await new Promise<void>((resolve) => env.after(LOOK_MS, resolve));
  }
}

function findOrphans({ app, initPid, group }: Brood): number[] {
  const found = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => processStat(pid)?.parent === initPid && belongsTo(pid, app));
  return [...new Set([...found, ...group.pids()])];
}

/** Signals a process by its pidfd, if it still is the one that is meant. */
export function signalIfStill(native: Native, pid: number, isMeant: () => boolean, signal: number): void {
  let pidfd: number;
  try {
    pidfd = native.pidfdOpen(pid);
  } catch {
    return; // it ended meanwhile
  }
  try {
    if (isMeant()) native.pidfdSignal(pidfd, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  } finally {
    native.closeFd(pidfd);
  }
}

function belongsTo(pid: number, app: string): boolean {
  return readIfThere(`/proc/${pid}/environ`)?.split('\0').includes(`COVET_APP=${app}`) ?? false;
}
