/**
 * What a supervisor whose covet-init was killed takes with it into the covet-init that it becomes: the packets of a hello, a line each, with the
 * numbers of their descriptors (native/init/state.h reads them). It holds a duplicate of everything, so nothing was closed by that death.
 */
import { encodeInitPacket } from '../protocol/init-wire.ts';

export interface StateRecord {
  readonly verb: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly fds: readonly number[];
}

/** A worker, with whatever descriptors of it there are. */
export interface WorkerEnds {
  readonly key: string;
  /** 0 while covet-init has not told it to run. */
  readonly pid: number;
  readonly start: string;
  readonly files: { readonly out: string; readonly err: string };
  /** Channel, hand-off, out, err. */
  readonly fds: readonly number[];
  readonly pidfd: number | null;
}

/** The stage at which a worker failed, as the next covet-init tells it. */
const UNTOLD = 'spawn';
const OUT = 2;

/** Its parent is gone: the next covet-init is told of its end by the pidfd. */
export function workerRecord({ key, pid, start, files, fds, pidfd }: WorkerEnds): StateRecord {
  // One that covet-init had not told to run yet is reported to nobody, and is started anew.
  const state = pid === 0 ? { state: 'failed', stage: UNTOLD } : { state: 'running', stage: '' };
  const told = { ours: '0', status: '0', errno: '0', line: '', report: '0', pidfd: pidfd === null ? '0' : '1' };
  return {
    verb: 'worker',
    fields: { key, ...state, ...told, pid: String(pid), start, ...files },
    fds: pidfd === null ? fds : [...fds, pidfd],
  };
}

/** The read ends of the output of workers that covet-init had not told to run. */
export function untoldOutputs(records: readonly StateRecord[]): number[] {
  return records.flatMap(({ fields, fds }) => (fields['stage'] === UNTOLD ? (fds[OUT] ?? []) : []));
}

/** The text, and every descriptor in it. `signal`: what the next supervisor is told to have been sent, 0 for nothing. */
export function encodeState(records: readonly StateRecord[], signal = 0): { readonly text: string; readonly fds: readonly number[] } {
  const self: StateRecord = { verb: 'init', fields: { version: '1', ready: '1', signal: String(signal) }, fds: [] };
  const lines = [self, ...records].map(
    ({ verb, fields, fds }) =>
      `${encodeInitPacket({ verb, id: 0, fields: fds.length === 0 ? fields : { ...fields, fds: fds.join(',') } })}\n`,
  );
  return { text: lines.join(''), fds: [...new Set(records.flatMap(({ fds }) => fds))] };
}
