/**
 * How many workers `max` is, and which CPUs worker i gets. Pure, from what the host grants: affinity, CPU quota (cgroup v1 and v2).
 * DESIGN §4's rules; a topology with NUMA nodes and SMT comes with the planner of a later release.
 */
import { missingCpus } from '../protocol/config-conflicts.ts';
import type { AppConfig } from '../protocol/config.ts';

export interface CpuGrant {
  /** sched_getaffinity, ascending. */
  readonly allowed: readonly number[];
  /** CFS quota in CPUs; null without one. */
  readonly quota: number | null;
}

/** Fewer than this and a pinned worker cannot leave a CPU that something else took (MEASURED §4: p99 1.5-8x worse). */
const PIN_CPUS_MIN = 4;

export function maxInstances({ allowed, quota }: CpuGrant): number {
  return Math.max(1, Math.min(allowed.length, quota === null ? Infinity : Math.ceil(quota)));
}

export interface PinPlan {
  readonly on: boolean;
  readonly why: string;
  cpusOf(slot: number): readonly number[] | null;
}

export function planPins(pin: AppConfig['pin'], instances: number, grant: CpuGrant, otherPinnedApp: string | null): PinPlan {
  const off = (why: string): PinPlan => ({ on: false, why, cpusOf: () => null });
  const over = (cpus: readonly number[], why: string): PinPlan => ({ on: true, why, cpusOf: (slot) => [cpus[slot % cpus.length]!] });
  if (Array.isArray(pin)) {
    // A start refuses such a list; the host may have given fewer CPUs since. Workers doubled up on those left would be slower than unpinned.
    return pin.length === 0 || missingCpus(pin, grant.allowed).length > 0
      ? off(`the config lists CPUs ${pin.join(',')}, allowed here are ${grant.allowed.join(',')}`)
      : over(pin, 'the config lists the CPUs');
  }
  if (pin === 'none') return off('the config says none');
  if (pin === 'on') return over(grant.allowed, 'the config says on');
  if (instances > grant.allowed.length) return off(`${instances} workers on ${grant.allowed.length} CPUs`);
  if (grant.allowed.length < PIN_CPUS_MIN) return off(`auto pins from ${PIN_CPUS_MIN} CPUs on, here are ${grant.allowed.length}`);
  if (grant.quota !== null && grant.quota < grant.allowed.length)
    return off(`a CPU quota of ${grant.quota} lies below the ${grant.allowed.length} CPUs`);
  if (otherPinnedApp !== null) return off(`\`${otherPinnedApp}\` is pinned to the same CPUs`);
  return over(grant.allowed, 'auto: a CPU for each worker');
}

/** The quota in CPUs from the text of cpu.max (v2), or of cpu.cfs_quota_us and cpu.cfs_period_us joined by a space (v1). */
export function parseQuota(text: string): number | null {
  const [quota, period] = text.trim().split(/\s+/).map(Number);
  if (quota === undefined || period === undefined || !Number.isFinite(quota) || quota <= 0 || !(period > 0)) return null;
  return quota / period;
}
