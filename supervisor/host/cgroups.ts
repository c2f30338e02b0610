/**
 * The cgroup v2 tree of this supervisor, where it has one (cgroup-policy.ts): a group per app, its limits, what is in it, and its end by
 * cgroup.kill. A group is found by its app's name, so the next supervisor needs nothing of this one. cgroups(7).
 */
import { accessSync, constants, existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AppConfig } from '../protocol/config.ts';
import { readIfThere } from '../protocol/proc-files.ts';
import { OWN_GROUP, planCgroups, type CgroupPlan } from './cgroup-policy.ts';

/** What limits need; nothing else is enabled. */
const CONTROLLERS = ['memory', 'cpu'] as const;
export type Controller = (typeof CONTROLLERS)[number];

/** Each limit of an app: its field, whose it is, its file, and what the file says when the field is not given. */
export const LIMITS = [
  { field: 'memoryMaxBytes', controller: 'memory', file: 'memory.max', unset: 'max' },
  { field: 'memoryHighBytes', controller: 'memory', file: 'memory.high', unset: 'max' },
  { field: 'cpuWeight', controller: 'cpu', file: 'cpu.weight', unset: '100' },
] as const satisfies readonly { field: keyof AppConfig; controller: Controller; file: string; unset: string }[];

/** A limit that an app asks for and this host does not give. */
export interface MissingLimit {
  readonly field: string;
  readonly why: string;
}

/** What this host tells the supervisor, in whose process it is asked. */
export function readCgroupPlan(initPid: number, isService: boolean): CgroupPlan {
  const isWritable = (path: string): boolean => {
    try {
      accessSync(path, constants.W_OK);
      return true;
    } catch {
      return false;
    }
  };
  const text = (path: string): string => readIfThere(path) ?? '';
  const facts = {
    groups: text('/proc/self/cgroup'),
    mounts: text('/proc/self/mountinfo'),
    initPid,
    isService,
    exists: existsSync,
    isWritable,
  };
  return planCgroups(facts);
}

export class Cgroups {
  readonly #onTrouble: (words: string) => void;
  #plan: CgroupPlan = { kind: 'none', why: 'not looked yet', advice: '' };
  #controllers: readonly Controller[] = [];
  /** Why a controller is not there; empty when all are. */
  limitless = '';

  constructor(onTrouble: (words: string) => void) {
    this.#onTrouble = onTrouble;
  }

  /** After covet-init was greeted; `pids` are its own and the supervisor's. Done again by each supervisor, it changes nothing. */
  begin(plan: CgroupPlan, pids: readonly number[]): void {
    this.#plan = plan;
    if (plan.kind === 'none') return;
    try {
      if (plan.mustMove) this.#move(plan.root, pids);
      if (plan.limitless === null) this.#enable(plan.root);
      else this.limitless = plan.limitless;
    } catch (error) {
      this.#plan = { kind: 'none', why: (error as Error).message, advice: 'docs/cgroups.md says what is needed.' };
    }
  }

  get plan(): CgroupPlan {
    return this.#plan;
  }

  get controllers(): readonly Controller[] {
    return this.#controllers;
  }

  /** The first limit that is asked for and cannot be had; null when there is none. */
  missing(config: AppConfig): MissingLimit | null {
    const limit = LIMITS.find(({ field, controller }) => config[field] !== undefined && !this.#controllers.includes(controller));
    if (limit === undefined) return null;
    return { field: limit.field, why: this.#plan.kind === 'none' ? this.#plan.why : this.limitless };
  }

  /** Makes the group with the limits of the config, for a worker to be born in. Its folder; null where there is none. Throws where a limit could not be set. */
  open(app: string, config: AppConfig): string | null {
    const folder = this.#folder(app);
    if (folder === null) return null;
    try {
      mkdirSync(folder, { recursive: true });
      for (const { field, controller, file, unset } of LIMITS)
        if (this.#controllers.includes(controller)) writeFileSync(join(folder, file), String(config[field] ?? unset));
      return folder;
    } catch (error) {
      if (LIMITS.some(({ field }) => config[field] !== undefined)) throw error;
      this.#onTrouble(`${app} has no cgroup, going on without: ${(error as Error).message}`);
      return null;
    }
  }

  /** Everything in the group, and in those below it that the app may have made. */
  pids(app: string): readonly number[] {
    const folder = this.#folder(app);
    return folder === null ? [] : pidsBelow(folder);
  }

  /** SIGKILL to all of them at once, also to what they fork meanwhile. Does nothing without a group; before Linux 5.14 neither. */
  kill(app: string): void {
    const folder = this.#folder(app);
    if (folder !== null && existsSync(join(folder, 'cgroup.kill'))) writeFileSync(join(folder, 'cgroup.kill'), '1');
  }

  /** How many processes of the group the kernel has ended for lack of memory, ever; null where nobody counts. */
  oomKills(app: string): number | null {
    const folder = this.#folder(app);
    const count = folder === null ? undefined : /^oom_kill (\d+)$/m.exec(readIfThere(join(folder, 'memory.events')) ?? '')?.[1];
    return count === undefined ? null : Number(count);
  }

  /** The group goes, with those below it. One that still has a process stays. */
  remove(app: string): void {
    const folder = this.#folder(app);
    if (folder !== null && existsSync(folder)) removeBelow(folder);
  }

  #folder(app: string): string | null {
    return this.#plan.kind === 'none' ? null : join(this.#plan.root, `app-${app}`);
  }

  #move(root: string, pids: readonly number[]): void {
    mkdirSync(join(root, OWN_GROUP), { recursive: true });
    for (const pid of pids) writeFileSync(join(root, OWN_GROUP, 'cgroup.procs'), String(pid));
  }

  #enable(root: string): void {
    const [offered, file] = [words(join(root, 'cgroup.controllers')), join(root, 'cgroup.subtree_control')];
    const refused: string[] = [];
    for (const controller of CONTROLLERS) {
      try {
        if (offered.includes(controller)) writeFileSync(file, `+${controller}`);
        else refused.push(`no ${controller} controller`);
      } catch (error) {
        refused.push(`a ${controller} controller that cannot be enabled (${(error as Error).message})`);
      }
    }
    const enabled = words(file);
    this.#controllers = CONTROLLERS.filter((controller) => enabled.includes(controller));
    if (refused.length > 0) this.limitless = `${root} has ${refused.join(' and ')}`;
  }
}

function pidsBelow(folder: string): number[] {
  // 0: of another pid namespace. Nothing to read: it is gone, or was never made.
  const own = words(join(folder, 'cgroup.procs'))
    .map(Number)
    .filter((pid) => pid > 0);
  return [...own, ...below(folder).flatMap(pidsBelow)];
}

function removeBelow(folder: string): void {
  for (const inner of below(folder)) removeBelow(inner);
  try {
    rmdirSync(folder);
  } catch (error) {
    if (!['EBUSY', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

function below(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(folder, name));
}

function words(path: string): string[] {
  return (readIfThere(path) ?? '').split(/\s+/).filter(Boolean);
}
