/**
 * Homes that last as long as their supervisor: of `new Supervisor()` and of `run` without a COVET_HOME, folders of the system's temporary
 * one. What was killed leaves its own there, and the next of them removes it.
 *
 * Removed is only what has our mark, our name and our user, and whose covet-init is gone: it holds its lock to its end, in whatever
 * container that lives.
 */
import { lstatSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Env } from '../env.ts';
import { pathsOf } from '../protocol/paths.ts';

/** As mkdtemp makes them of `covet-` and `covet-run-`. */
const NAME = /^covet-(run-)?\w{6}$/;
/** A home that someone named by COVET_HOME has none. */
const MARK = 'temporary';

/** Marks ours, whose lock is held by now, and removes what others left beside it. Throws as open(2) and readdir(3). */
export function tendTemporaryHomes(env: Env): void {
  const ours = env.paths.home;
  writeFileSync(join(ours, MARK), '', { mode: 0o600 });
  for (const name of readdirSync(dirname(ours))) {
    const home = join(dirname(ours), name);
    if (name !== basename(ours) && NAME.test(name) && isLeft(home, env)) rmSync(home, { recursive: true, force: true });
  }
}

function isLeft(home: string, { native, uid }: Env): boolean {
  try {
    const isOurs = [home, join(home, MARK)].every((path) => lstatSync(path).uid === uid);
    return isOurs && lstatSync(home).isDirectory() && !native.isLocked(pathsOf({ COVET_HOME: home }, uid).lock);
  } catch {
    return false; // no mark or no lock: none of ours, or on its way out already
  }
}
