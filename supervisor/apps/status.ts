/**
 * From an app's plan and workers to the one public status and the views others script against. Pure.
 */
import type { AppStatus } from '../protocol/states.ts';
import type { Plan } from './plan-machine.ts';

export interface StatusFacts {
  readonly plan: Plan;
  /** Ready workers of the live generation. */
  readonly ready: number;
  /** Workers that it is to have. */
  readonly wanted: number;
  /** Said once by the restart policy, until the crashes leave its window. */
  readonly isDegraded: boolean;
}

export function statusOf({ plan, ready, wanted, isDegraded }: StatusFacts): AppStatus {
  switch (plan.phase) {
    case 'stopped':
      return plan.failed === null ? 'stopped' : 'failed';
    case 'starting':
      return 'starting';
    case 'running':
      return isDegraded || ready < wanted ? 'degraded' : 'online';
    case 'reloading':
    case 'settling':
      return 'reloading';
    case 'stopping':
      return 'stopping';
  }
}

/** What an app is doing, for a refusal. */
export function doing(plan: Plan): string {
  const words: Record<Plan['phase'], string> = {
    stopped: 'stopped',
    starting: 'starting',
    running: 'running',
    reloading: 'reloading',
    settling: 'draining its old workers',
    stopping: 'stopping',
  };
  return words[plan.phase];
}
