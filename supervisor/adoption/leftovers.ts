/**
 * Ends what a supervisor that died left running and no app owns any more. Its sockets are closed at once, so that another app may have the
 * address; its workers get SIGTERM and, later, SIGKILL.
 */
import { constants } from 'node:os';
import type { Native } from '../../native/index.ts';
import type { Env } from '../env.ts';
import type { Held } from '../init/held.ts';
import type { InitClient } from '../init/init-client.ts';

/** From SIGTERM to SIGKILL. */
const GRACE_MS = 5_000;

/** Answers with how many workers there are. Their ends are told by covet-init, and forgotten by the worker table. */
export function endLeftovers(env: Env, init: InitClient, held: Held): number {
  for (const key of held.groups.keys()) init.request('close', { group: key }).catch(() => {}); // gone with covet-init itself
  const pidfds = held.takePidfds();
  const { SIGTERM, SIGCONT, SIGKILL } = constants.signals;
  for (const pidfd of pidfds) for (const signal of [SIGTERM, SIGCONT]) signalIfAlive(env.native, pidfd, signal);
  if (pidfds.length > 0)
    env.after(GRACE_MS, () => {
      for (const pidfd of pidfds) {
        signalIfAlive(env.native, pidfd, SIGKILL);
        env.native.closeFd(pidfd);
      }
    });
  return pidfds.length;
}

export function signalIfAlive(native: Native, pidfd: number, signal: number): void {
  try {
    native.pidfdSignal(pidfd, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
