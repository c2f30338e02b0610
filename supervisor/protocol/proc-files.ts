/** What the kernel tells of processes and limits in small files: proc(5), cgroups(7), sysfs(5). */
import { readFileSync } from 'node:fs';

/** null when it is not there, or not ours to read. */
export function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

export interface ProcessStat {
  /** `Z`: it has ended, and nobody has asked how. */
  readonly state: string;
  readonly parent: number;
  /** Clock ticks after boot: with the pid, this process and no later one. */
  readonly start: string;
}

/** Of /proc/PID/stat, whose second field, the name in parentheses, may hold anything. null when there is no such process. */
export function processStat(pid: number): ProcessStat | null {
  const stat = readIfThere(`/proc/${pid}/stat`);
  if (stat === null) return null;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', parent: Number(fields[1]), start: fields[19] ?? '' };
}
