/**
 * Whether a service that runs as nobody else, in a sandbox, would reach a path: what `startup --hardened` asks of every app before it writes a
 * unit that would break one.
 */
import { realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** PrivateTmp= shows others than these. */
const HIDDEN = ['/tmp', '/var/tmp'];
const OTHERS_READ = 0o004;
const OTHERS_WRITE = 0o002;
/** Of a folder; of a file, to run it. */
const OTHERS_ENTER = 0o001;

const NEEDED = { read: OTHERS_READ, run: OTHERS_READ | OTHERS_ENTER, write: OTHERS_READ | OTHERS_WRITE } as const;

export type Need = keyof typeof NEEDED;

/** Why not, in words; null when it would. A folder must be enterable, by everybody, and so must every folder above; a file as is needed. */
export function unreachable(path: string, need: Need): string | null {
  let real: string;
  try {
    real = realpathSync(path);
  } catch (error) {
    return (error as Error).message;
  }
  const hidden = HIDDEN.find((folder) => real === folder || real.startsWith(`${folder}/`));
  if (hidden !== undefined) return `lies in ${hidden}, of which the service sees one of its own`;
  const stat = statSync(real);
  const needed = stat.isDirectory() ? OTHERS_ENTER | (NEEDED[need] & OTHERS_WRITE) : NEEDED[need];
  if ((stat.mode & needed) !== needed) return `is closed to other users (mode ${mode(stat.mode)})`;
  for (let folder = dirname(real); ; folder = dirname(folder)) {
    const above = statSync(folder);
    if ((above.mode & OTHERS_ENTER) === 0) return `lies in ${folder}, which is closed to other users (mode ${mode(above.mode)})`;
    if (folder === dirname(folder)) return null;
  }
}

function mode(bits: number): string {
  return (bits & 0o7777).toString(8).padStart(4, '0');
}
