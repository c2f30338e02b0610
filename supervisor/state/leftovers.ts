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
  /** Told as ended; perhaps in the same breath as they were told as held. */
  readonly #ended = new Set<string>();
  #onEnded: () => void = () => {};

  /** Listens from now on; made before `hello`. */
  constructor(env: Env, init: InitClient) {
    this.#env = env;
    this.#init = init;
    init.on('held', (packet, fds) => this.#held(packet, fds));
    init.on('exited', ({ key }) => {
      this.#ended.add(key);
      this.#onEnded();
    });
  }

  /** Resolves with how many workers there were, once none is left; or after the last grace, when the kernel itself does not let one go. */
  async end(): Promise<number> {
    for (const group of this.#groups) await this.#init.request('close', { group });
    this.#signal(constants.signals.SIGTERM);
    this.#signal(constants.signals.SIGCONT);
    if (!(await this.#allEnded())) {
      this.#signal(constants.signals.SIGKILL);
      await this.#allEnded();
    }
    for (const pidfd of this.#workers.values()) this.#env.native.closeFd(pidfd);
    return this.#workers.size;
  }

  /** False when the grace is over before. */
  async #allEnded(): Promise<boolean> {
    const isOver = (): boolean => [...this.#workers.keys()].every((key) => this.#ended.has(key));
    return new Promise((resolve) => {
      const timer = this.#env.after(GRACE_MS, () => resolve(isOver()));
      this.#onEnded = () => {
        if (!isOver()) return;
        timer.cancel();
        resolve(true);
      };
      this.#onEnded();
    });
  }

  #held({ verb, fields }: InitPacket, fds: readonly number[]): void {
    if (verb === 'group') this.#groups.add(fields['key'] ?? fields['group'] ?? '');
    const isRunning = verb === 'worker' && Number(fields['pid'] ?? 0) > 0;
    const pidfd = isRunning ? fds.at(-1) : undefined;
    if (pidfd !== undefined) this.#workers.set(fields['key'] ?? '', pidfd);
    else if (verb === 'worker') this.#init.request('forget', { key: fields['key'] ?? '' }).catch(() => {}); // it exited just now, and `exited` lets go of it
    for (const fd of fds) if (fd !== pidfd) this.#env.native.closeFd(fd);
  }

  #signal(signal: number): void {
    for (const [key, pidfd] of this.#workers) {
      if (this.#ended.has(key)) continue;
      try {
        this.#env.native.pidfdSignal(pidfd, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  }
}
