/**
 * What a supervisor that died left running. Adoption is not built yet: its workers are ended and its sockets closed, so that what is
 * wanted can start anew. The records of covet-init's wire hold what adoption will need.
 */
import { constants } from 'node:os';
import type { Env } from '../env.ts';
import type { InitClient } from '../init/init-client.ts';
import type { InitPacket } from '../protocol/init-wire.ts';

/** From SIGTERM to SIGKILL. */
const GRACE_MS = 5_000;

export class Leftovers {
  readonly #env: Env;
  readonly #init: InitClient;
  readonly #groups = new Set<string>();
  /** key → pidfd of a worker that runs. */
  readonly #workers = new Map<string, number>();

  /** Listens from now on; made before `hello`. */
  constructor(env: Env, init: InitClient) {
    this.#env = env;
    this.#init = init;
    init.on('held', (packet, fds) => this.#held(packet, fds));
  }

  /** Resolves with how many workers there were, once none is left. */
  async end(): Promise<number> {
    const count = this.#workers.size;
    for (const group of this.#groups) await this.#init.request('close', { group });
    await Promise.all([...this.#workers].map(([key, pidfd]) => this.#endWorker(key, pidfd)));
    return count;
  }

  #held({ verb, fields }: InitPacket, fds: readonly number[]): void {
    if (verb === 'group') this.#groups.add(fields['key'] ?? fields['group'] ?? '');
    const isRunning = verb === 'worker' && Number(fields['pid'] ?? 0) > 0;
    const pidfd = isRunning ? fds.at(-1) : undefined;
    if (pidfd !== undefined) this.#workers.set(fields['key'] ?? '', pidfd);
    else if (verb === 'worker') this.#init.request('forget', { key: fields['key'] ?? '' }).catch(() => {}); // it exited just now, and `exited` lets go of it
    for (const fd of fds) if (fd !== pidfd) this.#env.native.closeFd(fd);
  }

  async #endWorker(key: string, pidfd: number): Promise<void> {
    const exited = new Promise<void>((resolve) => {
      const onExited = (end: { key: string }): void => {
        if (end.key !== key) return;
        this.#init.off('exited', onExited);
        resolve();
      };
      this.#init.on('exited', onExited);
    });
    this.#signal(pidfd, constants.signals.SIGTERM);
    this.#signal(pidfd, constants.signals.SIGCONT);
    const timer = this.#env.after(GRACE_MS, () => this.#signal(pidfd, constants.signals.SIGKILL));
    await exited;
    timer.cancel();
    this.#env.native.closeFd(pidfd);
  }

  #signal(pidfd: number, signal: number): void {
    try {
      this.#env.native.pidfdSignal(pidfd, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}
