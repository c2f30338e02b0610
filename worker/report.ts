/**
 * Where a part of the worker tells what happened: the supervisor's channel, or from a thread of the process the main thread.
 */
import type { WorkerMessage } from '../supervisor/protocol/worker-wire.ts';

export interface Report {
  /** False when it could not be told: the other side is gone, or does not read. Never throws. */
  tell(message: WorkerMessage): boolean;
}
