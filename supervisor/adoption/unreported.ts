/**
 * Ends workers that were on their way when covet-init was killed. It may have read that they run and told nobody, so that the next one would
 * have a second of each started, and nobody knew of the first. Nor does anybody know their pids; but their output leads into pipes that
 * only they and this supervisor have. One that has not reported yet finds nobody to report to, and ends by itself.
 */
import { readdirSync } from 'node:fs';
import { constants } from 'node:os';
import type { Native } from '../../native/index.ts';
import { signalIfStill } from '../slots/orphans.ts';
import { linkOf } from './others-descriptors.ts';

/** `outs`: the read ends of their stdout. */
export function endUnreported(native: Native, outs: readonly number[]): void {
  const pipes = new Set(outs.map((fd) => linkOf(`/proc/self/fd/${fd}`)).filter((link) => link.startsWith('pipe:')));
  if (pipes.size === 0) return;
  const writesThere = (pid: number): boolean => pipes.has(linkOf(`/proc/${pid}/fd/1`));
  for (const pid of readdirSync('/proc').map(Number)) {
    if (writesThere(pid)) signalIfStill(native, pid, () => writesThere(pid), constants.signals.SIGKILL);
  }
}
