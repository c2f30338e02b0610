/**
 * Whether the supervisor has descriptors enough for what is asked of it: refused beforehand, since a supervisor that has none left can
 * neither spawn nor answer. Pure; covet-init holds fewer a worker than the supervisor does, under the same limit.
 */
import { CovetError } from '../protocol/errors.ts';

export interface DescriptorGrant {
  readonly limit: number;
  readonly open: number;
}

/** Channel, hand-off, pidfd, /proc/<pid>/stat of the sampler, and a log pipe's read end for out and err, each once more in the log copier. */
const PER_WORKER = 8;
/** One a set (listeners/sockets.ts). */
const SOCKETS_PER_LISTENER = 2;
/** For clients, files, and the ends that a worker gets while it is spawned. */
const RESERVE = 64;

/** Of so many workers more, with a socket pair each on so many listeners. */
export function descriptorsOf(workers: number, listeners: number): number {
  return workers * (PER_WORKER + SOCKETS_PER_LISTENER * listeners);
}

/** `workers`: as many as the app is to have. Throws COVET_ERR_DESCRIPTORS. */
export function requireDescriptors(app: string, workers: number, need: number, { limit, open }: DescriptorGrant): void {
  const left = Math.max(0, limit - open - RESERVE);
  if (need > left) throw new CovetError('COVET_ERR_DESCRIPTORS', { app, workers, need, left, limit });
}
