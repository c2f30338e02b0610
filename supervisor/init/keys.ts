/**
 * Names under which covet-init keeps what is the supervisor's: whoever reads them later knows whose it is. An app's name may hold dashes,
 * the numbers after it do not. Pure.
 */

export interface WorkerKey {
  readonly app: string;
  readonly generation: number;
  readonly slot: number;
  /** Rises with each worker of the app, so that a successor has a key of its own. */
  readonly count: number;
}

export function workerKey({ app, generation, slot, count }: WorkerKey): string {
  return `w-${app}-${generation}-${slot}-${count}`;
}

/** null when it is no worker's key. */
export function readWorkerKey(key: string): WorkerKey | null {
  const match = /^w-(.+)-(\d+)-(\d+)-(\d+)$/.exec(key);
  if (match === null) return null;
  return { app: match[1]!, generation: Number(match[2]), slot: Number(match[3]), count: Number(match[4]) };
}

export interface GroupKey {
  readonly app: string;
  /** Of the whole supervisor, rising: a listener that opens again never meets its old name. */
  readonly count: number;
}

export function groupKey({ app, count }: GroupKey): string {
  return `${app}-${count}`;
}

/** null when it is no group's key. */
export function readGroupKey(key: string): GroupKey | null {
  const match = /^(.+)-(\d+)$/.exec(key);
  return match === null ? null : { app: match[1]!, count: Number(match[2]) };
}

/**
 * A note of whoever found the workers again after both deaths (adoption/recover.ts), until they are taken over: no guard was left, and the kernel may
 * have chosen any socket.
 */
export const RECOVERED_KEY = 'recovered';
