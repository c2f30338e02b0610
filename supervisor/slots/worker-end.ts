/** How a worker ended: from the raw wait status that covet-init tells to words. Pure; see wait(2). */
import { constants } from 'node:os';

export interface WorkerEnd {
  readonly code: number | null;
  /** Its name, SIGKILL; or `signal 40` where it has none. */
  readonly signal: string | null;
  /** The kernel ended it for lack of memory; false too where nobody counts that (apps/app-group.ts). */
  readonly oom: boolean;
}

/** −1: nobody saw it (covet-init is not its parent and the kernel does not tell). */
const UNKNOWN = -1;

export function endOf(status: number): WorkerEnd {
  if (status === UNKNOWN) return { code: null, signal: null, oom: false };
  const number = status & 0x7f;
  if (number === 0) return { code: (status >> 8) & 0xff, signal: null, oom: false };
  const name = Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
  return { code: null, signal: name ?? `signal ${number}`, oom: false };
}

export function describeEnd({ code, signal, oom }: WorkerEnd): string {
  if (oom) return `was ended by ${signal}, out of memory (oom)`;
  if (signal !== null) return `was ended by ${signal}`;
  return code === null ? 'ended, nobody saw how' : `exited with code ${code}`;
}
