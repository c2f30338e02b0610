/**
 * The supervisor's own copy: `versions/<version>-<hash>` of the home has all that a supervisor runs from, so that replacing or deleting the
 * installed package changes nothing under it until `upgrade`. Placed by whoever starts or upgrades it; `current` and `previous` are links that the
 * supervisor keeps (supervisor/state/versions.ts); whatever else is there, and needed by no process, goes when the next one is placed.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { native } from '../native/index.ts';
import { CovetError, nativePart } from '../supervisor/protocol/errors.ts';
import type { Paths } from '../supervisor/protocol/paths.ts';

/** Of a package, beside its package.json. */
const PARTS = ['dist', join('prebuilds', `linux-${process.arch}`)];
/** Nobody runs them. */
const LEFT_OUT = 'types';

/**
 * For the time of `use` nobody else places a version, clears one away, or has the supervisor go over to one: who comes second waits, and finds
 * things as the first one left them. The kernel gives the lock back if this process dies.
 */
export async function withVersions<T>({ versions }: Paths, use: () => T | Promise<T>): Promise<T> {
  const lock = nativePart(native).lock(`${versions}.lock`);
  try {
    return await use();
  } finally {
    closeSync(lock);
  }
}

/** Within withVersions. Copies a package there unless it is there already. Answers with its folder. Throws COVET_ERR_UPGRADE when it is no package of ours, COVET_ERR_HOME_UNUSABLE when there is no room for it. */
export function placeVersion(paths: Paths, source: string): string {
  const files = PARTS.flatMap((part) => filesOf(source, part));
  const needed = ['dist/supervisor.mjs', `prebuilds/linux-${process.arch}/covet-init`].filter((file) => !files.includes(file));
  if (needed.length > 0) throw new CovetError('COVET_ERR_UPGRADE', { reason: `${source} has no ${needed.join(' and no ')}` });
  const folder = join(paths.versions, `${versionOf(source)}-${hashOf(source, files)}`);
  if (!existsSync(folder)) copy(source, folder, paths.home);
  prune(paths.versions, folder);
  return realpathSync(folder);
}

/** The version that `upgrade --back` returns to. Throws COVET_ERR_UPGRADE. */
export function previousVersion(paths: Paths): string {
  try {
    return realpathSync(join(paths.versions, 'previous'));
  } catch (error) {
    throw new CovetError('COVET_ERR_UPGRADE', { reason: `${paths.versions} has no version before this one` }, { cause: error });
  }
}

/** The path that goes on leading to whichever version runs, for who starts it later. `folder` is what it leads to while none runs. */
export function linkCurrent({ versions }: Paths, folder: string): string {
  if (dirname(folder) !== realpathSync(versions)) return folder;
  const link = join(versions, 'current');
  if (target(link).length === 0) symlinkSync(basename(folder), link);
  return link;
}

export function versionOf(folder: string): string {
  try {
    return (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }).version;
  } catch (error) {
    throw new CovetError('COVET_ERR_UPGRADE', { reason: `${folder} has no package.json that can be read` }, { cause: error });
  }
}

function filesOf(source: string, part: string): string[] {
  if (!existsSync(join(source, part))) return [];
  return readdirSync(join(source, part), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(source.length + 1))
    .filter((file) => !file.startsWith(join('dist', LEFT_OUT)))
    .sort();
}

function hashOf(source: string, files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(join(source, file)));
  return hash.digest('hex').slice(0, 12);
}

/** Under another name until it is whole. Workers of other users read the preload there. */
function copy(source: string, folder: string, home: string): void {
  const next = `${folder}.${process.pid}`;
  try {
    mkdirSync(next, { recursive: true, mode: 0o755 });
    cpSync(join(source, 'package.json'), join(next, 'package.json'));
    for (const part of PARTS)
      cpSync(join(source, part), join(next, part), { recursive: true, filter: (path) => path !== join(source, 'dist', LEFT_OUT) });
    renameSync(next, folder);
  } catch (error) {
    rmSync(next, { recursive: true, force: true });
    const [why] = (error as Error).message.split(/[,\n]/);
    throw new CovetError('COVET_ERR_HOME_UNUSABLE', { home, reason: `covet-pm cannot be copied to ${folder} (${why})` }, { cause: error });
  }
}

/** Keeps the one that runs, the one before it, the one just placed, and those that a process still needs. */
function prune(versions: string, placed: string): void {
  const links = ['current', 'previous'];
  const kept = new Set([...links, basename(placed), ...links.flatMap((link) => target(join(versions, link)))]);
  const others = readdirSync(versions).filter((name) => !kept.has(name) && !isBeingMade(name));
  if (others.length === 0) return;
  const needed = neededVersions(realpathSync(versions));
  for (const name of others) if (!needed.has(name)) rmSync(join(versions, name), { recursive: true, force: true });
}

/** `<name>.<pid>`: what that process has not yet given its name. */
function isBeingMade(name: string): boolean {
  const pid = /\.(\d+)$/.exec(name)?.[1];
  return pid !== undefined && existsSync(`/proc/${pid}`);
}

/**
 * Those that a process names in how it was started: a supervisor, a covet-init, a worker and what that forks with the same preload. A worker
 * that has set its title still has its COVET_BOOT. Another user's environment is closed to us, but only root has workers of other users.
 */
function neededVersions(versions: string): Set<string> {
  const needed = new Set<string>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const part of ['cmdline', 'environ']) {
      const texts = textOf(`/proc/${pid}/${part}`).split(`${versions}/`).slice(1);
      for (const text of texts) needed.add(/^[^/"\0]*/.exec(text)![0]);
    }
  }
  return needed;
}

/** '' for a process that is gone, or not ours to look at. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function target(link: string): string[] {
  try {
    return [basename(readlinkSync(link))];
  } catch {
    return []; // no such link yet
  }
}
