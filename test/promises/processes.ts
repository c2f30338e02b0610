/**
 * Which processes belong to a test's home, from outside: by a mark in their environment, which whatever they start inherits and
 * which no exec or setsid loses (/proc/PID/environ is what the process was started with).
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

export const MARK = 'PROOF_HOME';

export interface ProcessInfo {
  readonly pid: number;
  readonly ppid: number;
  /** As in /proc/PID/stat: R, S, T (stopped), Z (zombie)… */
  readonly state: string;
  readonly command: string;
}

/** Every process that was started for `home`, zombies aside: those have no environment left. */
export function processesOf(home: string): ProcessInfo[] {
  const marks = [`${MARK}=${home}`, `COVET_HOME=${home}`];
  return pids().flatMap((pid) => {
    const variables = contents(`/proc/${pid}/environ`).split('\0');
    return marks.some((mark) => variables.includes(mark)) ? (processInfo(pid) ?? []) : [];
  });
}

/** Every process, of whomever, whose command line has these words. */
export function processesWith(words: string): ProcessInfo[] {
  return pids().flatMap((pid) => {
    const info = processInfo(pid);
    return info?.command.includes(words) === true ? info : [];
  });
}

/** Those that one of `parents` has left unreaped. What ended after its parent is the affair of whoever inherited it, PID 1 for one. */
export function zombiesOf(parents: ReadonlySet<number>): ProcessInfo[] {
  return pids().flatMap((pid) => {
    const info = processInfo(pid);
    return info !== null && info.state === 'Z' && parents.has(info.ppid) ? info : [];
  });
}

/** null when there is no such process. */
export function processInfo(pid: number): ProcessInfo | null {
  const stat = contents(`/proc/${pid}/stat`);
  const fields = /^\d+ \((.*)\) (\S) (\d+)/s.exec(stat);
  if (fields === null) return null;
  return {
    pid,
    ppid: Number(fields[3]),
    state: fields[2]!,
    command: contents(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim() || `(${fields[1]!})`,
  };
}

export function openFds(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return entries(folder).flatMap((fd) => {
    try {
      return `${fd} ${readlinkSync(`${folder}/${fd}`)}`;
    } catch {
      return []; // closed meanwhile
    }
  });
}

export function rssBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(contents(`/proc/${pid}/status`))?.[1] ?? 0) * 1_024;
}

function pids(): number[] {
  return entries('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
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
    return ''; // it ended meanwhile, or is another user's
  }
}
