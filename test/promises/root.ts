/** The repository, found from wherever this runs: the sources, or a bundle under build/. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

export function repositoryRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package-lock.json'))) {
    if (folder === '/') throw new Error(`Expected package-lock.json above ${import.meta.dirname}`);
    folder = dirname(folder);
  }
  return folder;
}
