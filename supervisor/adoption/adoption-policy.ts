/**
 * What becomes of an app whose supervisor died (DESIGN §5, the last row of "one app, one plan"): what the state on disk says, whatever was
 * under way. Pure; adopt.ts carries it out.
 *
 * A reload is told by the flip, which is on disk before it is acted on: before it the old generation serves on and the new one is ended;
 * after it the new one serves and the old one drains. Stopping goes on until nothing is left.
 */
import type { Plan } from '../apps/plan-machine.ts';

export interface Found {
  readonly isWanted: boolean;
  readonly isDeleting: boolean;
  /** The generation that serves, as it is on disk; 0 before the first. */
  readonly live: number;
  /** Generations of which there is a worker, or a slot that waits for its next one. */
  readonly generations: readonly number[];
  /** Of them those that the kernel may have given connections, and that may leave in their own time beside the one that serves. */
  readonly drainable: readonly number[];
  /** Whether covet-init holds sockets of it. */
  readonly hasSockets: boolean;
  /** What the last supervisor noted, if it did. */
  readonly isUp: boolean;
  readonly failed: string | null;
}

export interface Adoption {
  readonly plan: Plan;
  /** Generations whose workers are taken over. */
  readonly keep: readonly number[];
  /** Generations whose workers are ended at once. */
  readonly kill: readonly number[];
}

/** null: nothing of it is there; if it is wanted it is started as after a boot. */
export function decideAdoption({ isWanted, isDeleting, live, generations, drainable, hasSockets, isUp, failed }: Found): Adoption | null {
  const newer = generations.filter((number) => number > live);
  const older = generations.filter((number) => number < live);
  if (failed !== null) return { plan: { phase: 'stopped', failed }, keep: [], kill: generations };
  if (!isWanted) {
    if (generations.length === 0) return null;
    const keep = generations.filter((number) => number <= live);
    return { plan: { phase: 'stopping', then: isDeleting ? 'deleted' : 'stopped', failed: null }, keep, kill: newer };
  }
  if (generations.length === newer.length && !hasSockets)
    return newer.length === 0 ? null : { plan: { phase: 'stopped', failed: null }, keep: [], kill: newer };
  if (!isUp) return { plan: { phase: 'starting', live }, keep: [live], kill: [...older, ...newer] };
  // Of two that drain the later one was flipped from; a reload waits until the one before it is through.
  const retired = (older.length === 0 ? newer.filter((number) => drainable.includes(number)) : older).toSorted((a, b) => b - a)[0];
  if (retired === undefined) return { plan: { phase: 'running', live }, keep: [live], kill: newer };
  return {
    plan: { phase: 'settling', live, retired },
    keep: [live, retired],
    kill: [...older, ...newer].filter((number) => number !== retired),
  };
}
