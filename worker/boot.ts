/**
 * What this worker is told, and that nothing of it stays: the environment, execArgv and NODE_OPTIONS are left as if covet-pm had not
 * been there, so that no child of the app takes itself for a worker. NODE_APP_INSTANCE, COVET_APP, COVET_SLOT and COVET_GENERATION
 * stay: they are a contract with apps.
 *
 * The preload acts where covet-exec meant it to (COVET_WORKER is this pid) and in threads of that process, which learn it from
 * Node's environment data, for Node loads `--require` in threads too.
 */
import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import type { WorkerBoot } from '../supervisor/protocol/worker-wire.ts';

const THREAD_KEY = 'covet-pm.boot';
const NODE_OPTION = /\s*(?:--require|-r)(?:=|\s+)("(?:[^"\\]|\\.)*"|\S+)/g;

/** Null where the preload has nothing to do. `preload` is its own path. */
export function takeBoot(preload: string): WorkerBoot | null {
  return isMainThread ? takeFromEnvironment(preload) : takeFromMainThread(preload);
}

function takeFromEnvironment(preload: string): WorkerBoot | null {
  const { env } = process;
  const text = env['COVET_BOOT'];
  if (text === undefined || env['COVET_WORKER'] !== String(process.pid)) return null;
  for (const key of Object.keys(env)) if (key === 'COVET_BOOT' || key === 'COVET_WORKER' || key.startsWith('LISTEN_')) delete env[key];
  forgetPreload(preload);
  const boot = decodeBoot(text);
  setEnvironmentData(THREAD_KEY, text);
  return boot;
}

function takeFromMainThread(preload: string): WorkerBoot | null {
  const text = getEnvironmentData(THREAD_KEY);
  if (typeof text !== 'string') return null;
  forgetPreload(preload);
  return decodeBoot(text);
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
