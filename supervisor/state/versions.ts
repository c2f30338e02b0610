/** Which copy of covet-pm runs, and which ran before: two links in the home's versions/, for `upgrade --back` and for what may be deleted. */
import { existsSync, readlinkSync, realpathSync, renameSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Called once this supervisor serves. A supervisor that does not run from such a copy leaves no trace. */
export function markCurrent(versions: string, folder: string): void {
  if (!existsSync(versions) || dirname(folder) !== realpathSync(versions)) return;
  const before = read(join(versions, 'current'));
  if (before === basename(folder)) return;
  if (before !== null) link(before, join(versions, 'previous'));
  link(basename(folder), join(versions, 'current'));
}

function read(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null; // the first
  }
}

function link(to: string, path: string): void {
  const next = `${path}.${process.pid}`;
  symlinkSync(to, next);
  renameSync(next, path);
}
