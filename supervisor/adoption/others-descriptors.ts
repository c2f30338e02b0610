/** Descriptors of processes that live on, found by what they lead to and duplicated: pidfd_getfd(2). */
import { closeSync, constants, openSync, readdirSync, readlinkSync } from 'node:fs';
import type { Native } from '../../native/index.ts';

export class OthersDescriptors {
  readonly #native: Native;
  readonly #pid: number;
  readonly pidfd: number;

  /** Owns the pidfd. */
  constructor(native: Native, pid: number, pidfd: number) {
    this.#native = native;
    this.#pid = pid;
    this.pidfd = pidfd;
  }

  /** A duplicate, the caller's, of what `name` names; null where the process has none. Throws EPERM. */
  find(name: string): number | null {
    const number = this.#numberOf(name);
    return number === null ? null : this.take(number, (link) => link === name);
  }

  /** The same of a number; null when that is nothing the caller wants. */
  take(number: number, isWanted: (link: string) => boolean): number | null {
    try {
      const fd = this.#native.pidfdGetfd(this.pidfd, number);
      if (isWanted(linkOf(`/proc/self/fd/${fd}`))) return fd;
      closeSync(fd);
      return null;
    } catch (error) {
      if (isGone(error)) return null;
      throw error;
    }
  }

  /** A new read end of the pipe that `name` names, whichever of its ends the process has; null where it has none. */
  openPipe(name: string): number | null {
    const number = this.#numberOf(name);
    if (number === null) return null;
    const fd = openSync(`/proc/${this.#pid}/fd/${number}`, constants.O_RDONLY | constants.O_NONBLOCK);
    if (linkOf(`/proc/self/fd/${fd}`) === name) return fd;
    closeSync(fd);
    return null;
  }

  #numberOf(name: string): number | null {
    try {
      const found = readdirSync(`/proc/${this.#pid}/fd`).find((fd) => linkOf(`/proc/${this.#pid}/fd/${fd}`) === name);
      return found === undefined ? null : Number(found);
    } catch (error) {
      if (isGone(error)) return null;
      throw error;
    }
  }
}

/** Empty for one that was closed meanwhile. */
export function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH', 'EBADF'].includes((error as NodeJS.ErrnoException).code ?? '');
}
