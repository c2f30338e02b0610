/**
 * Folders at a path that a user gave, made one by one: the recursive mkdir of Node 20 never returns under a file system that answers ENOENT
 * for what cannot be made there, as /proc does.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/** Makes `path`, absolute, and what is missing above it. Throws as mkdir(2), save that it may be there. */
export function makeFolder(path: string, mode: number): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path), mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // else another made it meanwhile
  }
}
