/** What a unit must know of the apps of a home, read from its state as data: a unit is written with a supervisor or without one. */
import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import type { Paths } from '../../supervisor/protocol/paths.ts';

/** One path that an app needs, and what it is to it. */
export interface NeededPath {
  readonly app: string;
  readonly what: 'script' | 'cwd' | 'interpreter' | 'socket folder';
  readonly path: string;
}

export interface WantedApps {
  readonly needed: readonly NeededPath[];
  readonly stopTimeoutMs: number;
  readonly needsPrivilegedPorts: boolean;
  /** Folders that they make their Unix sockets in. */
  readonly written: readonly NeededPath[];
  /** Apps that run as a user of their own, which only root can give them. */
  readonly withUser: readonly string[];
}

interface StoredApp {
  readonly config: {
    readonly name: string;
    readonly script: string;
    readonly cwd: string;
    readonly interpreter?: string;
    readonly listen?: readonly string[];
    readonly lameDuckMs?: number;
    readonly drainTimeoutMs?: number;
    readonly killTimeoutMs?: number;
    readonly uid?: number;
  };
  readonly live?: number;
  readonly generations?: readonly {
    readonly number: number;
    readonly launch: { readonly file: string; readonly cwd: string; readonly scriptPath: string };
  }[];
}

const DRAIN_TIMEOUT_MS = 30_000;
const KILL_TIMEOUT_MS = 5_000;
const PRIVILEGED_BELOW = 1_024;

/** Throws what readFileSync and JSON.parse throw, save that a home without state has no apps. */
export function readWantedApps(paths: Paths): WantedApps {
  const apps = storedApps(paths.wanted);
  return {
    needed: apps.flatMap(pathsOfApp),
    stopTimeoutMs: Math.max(DRAIN_TIMEOUT_MS + KILL_TIMEOUT_MS, ...apps.map(stopTimeoutMs)),
    needsPrivilegedPorts: apps.some(({ config }) => (config.listen ?? []).some(isPrivileged)),
    written: apps.flatMap(({ config }) => (config.listen ?? []).flatMap((address) => socketFolder(config.name, address))),
    withUser: apps.filter(({ config }) => config.uid !== undefined).map(({ config }) => config.name),
  };
}

function stopTimeoutMs({ config }: StoredApp): number {
  return (config.lameDuckMs ?? 0) + (config.drainTimeoutMs ?? DRAIN_TIMEOUT_MS) + (config.killTimeoutMs ?? KILL_TIMEOUT_MS);
}

function storedApps(file: string): readonly StoredApp[] {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { apps: readonly StoredApp[] }).apps;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** As its last generation ran; what never ran, as it is configured. */
function pathsOfApp({ config, live, generations = [] }: StoredApp): NeededPath[] {
  const launch = generations.find(({ number }) => number === live)?.launch;
  const script = isAbsolute(config.script) ? config.script : join(config.cwd, config.script);
  const interpreter = launch?.file ?? config.interpreter ?? process.execPath;
  const found: NeededPath[] = [
    { app: config.name, what: 'script', path: launch?.scriptPath ?? script },
    { app: config.name, what: 'cwd', path: launch?.cwd ?? config.cwd },
  ];
  // A bare name is looked for in PATH, when the worker starts.
  if (isAbsolute(interpreter)) found.push({ app: config.name, what: 'interpreter', path: interpreter });
  return found;
}

function socketFolder(app: string, address: string): NeededPath[] {
  const path = /^unix:(?:\/\/)?(\/.*)$/.exec(address)?.[1];
  return path === undefined ? [] : [{ app, what: 'socket folder', path: dirname(path) }];
}

function isPrivileged(address: string): boolean {
  const port = address.startsWith('unix:') ? undefined : /(?:^|:)(\d+)$/.exec(address)?.[1];
  return port !== undefined && Number(port) > 0 && Number(port) < PRIVILEGED_BELOW;
}
