/**
 * What this worker is told, and that nothing of it stays: the environment, execArgv and NODE_OPTIONS are left as if covet-pm had not
 * been there, so that no child of the app takes itself for a worker. NODE_APP_INSTANCE, COVET_APP, COVET_SLOT and COVET_GENERATION
 * stay: they are a contract with apps.
 *
 * The preload acts where covet-exec meant it to (COVET_WORKER is this pid) and in threads of that process, for which the main thread
 * leaves it in the addon: Node loads `--require` in threads too, and node:worker_threads is not loaded before every app for it.
 */
import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { native } from '../native/index.ts';
import type { WorkerBoot } from '../supervisor/protocol/worker-wire.ts';

const NODE_OPTION = /\s*(?:--require|-r)(?:=|\s+)("(?:[^"\\]|\\.)*"|\S+)/g;

export interface Boot {
  readonly boot: WorkerBoot;
  readonly isMainThread: boolean;
}

/** Null where the preload has nothing to do. `preload` is its own path. */
export function takeBoot(preload: string): Boot | null {
  const { env } = process;
  const { COVET_BOOT: own, COVET_WORKER: meant } = env;
  const isMainThread = own !== undefined && meant === String(process.pid);
  const text = isMainThread ? own : leftForThreads();
  if (text === '') return null;
  if (isMainThread)
    for (const key of Object.keys(env)) if (key === 'COVET_BOOT' || key === 'COVET_WORKER' || key.startsWith('LISTEN_')) delete env[key];
  forgetPreload(preload);
  return { boot: decodeBoot(text), isMainThread };
}

/** '' in a process that is no worker's, and without the addon: then threads bind their own addresses. */
function leftForThreads(): string {
  try {
    return native().leftForThreads();
  } catch {
    return ''; // said by the main thread
  }
}

/** Throws SyntaxError: the two sides are of different versions. */
function decodeBoot(text: string): WorkerBoot {
  const boot = JSON.parse(text) as WorkerBoot;
  if (boot.v !== 1) throw new SyntaxError(`Expected version 1 in COVET_BOOT, got ${String(boot.v)}`);
  return boot;
}

/** fork(), cluster.fork() and execa copy execArgv; every node below reads NODE_OPTIONS. */
function forgetPreload(preload: string): void {
  const { execArgv, env } = process;
  for (let at = execArgv.length - 1; at >= 0; at--) {
    const [, option, joined] = /^(--require|-r)(?:=(.*))?$/s.exec(execArgv[at] ?? '') ?? [];
    if (option === undefined) continue;
    if (isPreload(joined ?? execArgv[at + 1], preload)) execArgv.splice(at, joined === undefined ? 2 : 1);
  }
  const options = env['NODE_OPTIONS'];
  if (options === undefined) return;
  const rest = options.replace(NODE_OPTION, (whole, path: string) => (isPreload(unquoted(path), preload) ? '' : whole)).trim();
  if (rest === options.trim()) return;
  if (rest === '') delete env['NODE_OPTIONS'];
  else env['NODE_OPTIONS'] = rest;
}

function unquoted(path: string): string {
  return path.startsWith('"') ? path.slice(1, -1).replace(/\\(.)/g, '$1') : path;
}

function isPreload(path: string | undefined, preload: string): boolean {
  if (path === undefined) return false;
  const full = resolve(path);
  if (full === preload) return true;
  try {
    return realpathSync(full) === preload;
  } catch {
    return false; // a package's name, not a path
  }
}
