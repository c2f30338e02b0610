/**
 * What a worker is started with: program, arguments, environment, descriptors. The last step before covet-exec.
 */
import type { AppConfig } from '../protocol/config.ts';
import type { WorkerBoot } from '../protocol/worker-wire.ts';
import type { WorkerOrder } from '../slots/worker-handle.ts';
import type { Generation } from './generation.ts';
import { preloadPath } from './launch.ts';

export interface HireContext {
  readonly config: AppConfig;
  readonly generation: Generation;
  readonly slot: number;
  readonly mode: 'cluster' | 'fork';
  /** false: several workers in fork mode, each with addresses of its own. */
  readonly lend: boolean;
  readonly cpus: readonly number[] | null;
  /** The cgroup that it is born in, made by this call. */
  openGroup(): string | null;
  /** Where the app's compile cache lies; null for none. */
  readonly cacheFolder: string | null;
  /** Where it may say READY=1; null for one that is not asked to. */
  readonly noticePath: string | null;
}

export function workerOrder(context: HireContext, fds: { channel: number; handoff: number }): WorkerOrder {
  const { config, generation } = context;
  const { launch } = generation;
  return {
    file: launch.file,
    args: launch.isNode ? ['--require', preloadPath(), ...launch.args] : launch.args,
    cwd: launch.cwd,
    env: workerEnv(context, fds),
    uid: config.uid ?? null,
    gid: config.gid ?? null,
    noFileMax: config.noFileMax ?? null,
    cpus: context.cpus,
    cgroup: context.openGroup(),
  };
}

function workerEnv(
  { config, generation, slot, mode, lend, cacheFolder, noticePath }: HireContext,
  fds: { channel: number; handoff: number },
): Record<string, string> {
  const env: Record<string, string> = {
    ...generation.env,
    NODE_APP_INSTANCE: String(slot),
    COVET_APP: config.name,
    COVET_SLOT: String(slot),
    COVET_GENERATION: String(generation.number),
  };
  if (noticePath !== null) env['NOTIFY_SOCKET'] = noticePath;
  if (!generation.launch.isNode) return env;
  const boot: WorkerBoot = { v: 1, app: config.name, slot, generation: generation.number, ...fds, mode, lend, preload: preloadPath() };
  env['COVET_BOOT'] = JSON.stringify(boot);
  if (cacheFolder !== null && hasCompileCache(generation.launch.nodeVersion)) env['NODE_COMPILE_CACHE'] ??= cacheFolder;
  return env;
}

/** Node 22.1 and later. */
function hasCompileCache(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 22 || (major === 22 && minor >= 1);
}

/** As PM2 decides it: cluster when instances are given or the mode says so, and only for Node. */
export function modeOf(config: AppConfig, isNode: boolean): 'cluster' | 'fork' {
  if (!isNode) return 'fork';
  return config.execMode ?? (config.instances === undefined ? 'fork' : 'cluster');
}
