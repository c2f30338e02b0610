/** A log and what it was rotated to: path the newest, path.1 … path.n older and older. A file is known by its inode. */
import { closeSync, fstatSync, openSync, statSync } from 'node:fs';

/** path.1 … path.1000: `logs.filesMax` at its most. */
const FILES_MAX = 1_000;

export interface OpenLogFile {
  readonly fd: number;
  readonly ino: number;
  readonly size: number;
}

export function nameOf(path: string, place: number): string {
  return place === 0 ? path : `${path}.${place}`;
}

/** 0 for no file. */
export function inoOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? 0;
}

/** Which name a file has now; -1 for none. Upwards, as rotation moves files: none is missed on its way. */
export function placeOf(path: string, ino: number): number {
  for (let place = 0; place <= FILES_MAX; place++) if (inoOf(nameOf(path, place)) === ino) return place;
  return -1;
}

/** The caller closes it; null for no file, also where a directory has the name, which is what keeps a log from being rotated. */
export function openLogFile(name: string): OpenLogFile | null {
  let fd: number;
  try {
    fd = openSync(name, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const file = fstatSync(fd);
  if (!file.isDirectory()) return { fd, ino: file.ino, size: file.size };
  closeSync(fd);
  return null;
}

/** The file that was written before the one with this inode; null where that is the oldest, or gone. */
export function openOlder(path: string, ino: number): OpenLogFile | null {
  for (;;) {
    const place = placeOf(path, ino);
    if (place < 0) return null;
    // A rotation that is under way moves the oldest first, and leaves a gap before it.
    const older = openLogFile(nameOf(path, place + 1)) ?? openLogFile(nameOf(path, place + 2));
    // Else a rotation between the two looks has put a newer file there, or the very same.
    if (inoOf(nameOf(path, place)) === ino) return older;
    if (older !== null) closeSync(older.fd);
  }
}
