/** A small disk of a test's own, so that it can be full: a tmpfs, which only root can mount. */
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** The kernel gives out a tmpfs by pages. */
export const PAGE_BYTES = 4_096;
const PIECE_BYTES = 1_048_576;

export class Disk {
  readonly #folder: string;
  readonly #ballast: string;

  /** Over `folder`, which is made; null where nothing can be mounted. */
  static mount(folder: string, bytes: number): Disk | null {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'tmpfs', folder]);
    return status === 0 ? new Disk(folder) : null;
  }

  private constructor(folder: string) {
    this.#folder = folder;
    this.#ballast = join(folder, 'ballast');
  }

  /** Takes every page that is left. */
  fill(): void {
    const file = openSync(this.#ballast, 'w');
    try {
      for (const bytes of [PIECE_BYTES, PAGE_BYTES]) fillBy(file, Buffer.alloc(bytes));
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    rmSync(this.#ballast, { force: true });
  }

  /** Whoever is still there keeps what it has open. */
  unmount(): void {
    spawnSync('umount', ['--lazy', this.#folder]);
  }
}

function fillBy(file: number, piece: Buffer): void {
  try {
    for (;;) writeSync(file, piece);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}
