/**
 * Ends workers that were on their way when covet-init was killed. It may have read that they run and told nobody, so that the next one would
 * have a second of each started, and nobody knew of the first. Nor does anybody know their pids; but their output leads into pipes that
 * only they and this supervisor have. One that has not reported yet finds nobody to report to, and ends by itself.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { constants } from 'node:os';
import type { Native } from '../../native/index.ts';
import { signalIfAlive } from './leftovers.ts';

/** `outs`: the read ends of their stdout. */
export function endUnreported(native: Native, outs: readonly number[]): void {
  const pipes = new Set<string | null>(outs.map((fd) => readlinkSync(`/proc/self/fd/${fd}`)));
  if (pipes.size === 0) return;
  const writesThere = (pid: number): boolean => pipes.has(linkOf(`/proc/${pid}/fd/1`));
  for (const pid of readdirSync('/proc').map(Number)) {
    if (!writesThere(pid)) continue;
    const pidfd = openIfThere(native, pid);
    if (pidfd === null) continue;
    // Again, now that it can be no other process.
    if (writesThere(pid)) signalIfAlive(native, pidfd, constants.signals.SIGKILL);
    native.closeFd(pidfd);
  }
}

function openIfThere(native: Native, pid: number): number | null {
  try {
    return native.pidfdOpen(pid);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return null;
    throw error;
  }
}

/** Null where there is no such process or descriptor, and where it is somebody else's. */
function linkOf(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}
