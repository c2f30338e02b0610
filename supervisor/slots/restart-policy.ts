/**
 * What follows a crash. Pure, on the monotonic clock, with a sliding window (OTP's intensity and period; DESIGN §5's numbers).
 *
 * A generation that was never ready gets a few starts and then fails for good: it cannot serve. A slot that was ready is restarted
 * for ever, after a full-jitter pause that doubles and begins anew once the worker has lived; too many crashes in the window make the
 * app degraded, and failed only where `max` says so.
 */
import type { AppConfig } from '../protocol/config.ts';
import type { Ms } from '../protocol/units.ts';

export interface CrashHistory {
  /** Starts in a row without having been ready. */
  readonly starts: number;
  /** Crashes in a row without a life of `resetMs`. */
  readonly attempt: number;
  /** Instants of the crashes within the window. */
  readonly crashesMs: readonly Ms[];
}

export const NO_HISTORY: CrashHistory = { starts: 0, attempt: 0, crashesMs: [] };

export type CrashDecision =
  | { readonly kind: 'retry'; readonly delayMs: Ms; readonly history: CrashHistory; readonly degraded: string | null }
  | { readonly kind: 'giveUp'; readonly reason: string; readonly history: CrashHistory };

export interface Crash {
  readonly reason: string;
  /** How long the worker had been ready; null when it never was. */
  readonly readyForMs: Ms | null;
  /** Whether any worker of the generation was ever ready. */
  readonly generationWasReady: boolean;
  readonly nowMs: Ms;
  /** From 0 up to 1, drawn by the caller. */
  readonly random: number;
}

export function decideCrash(crash: Crash, history: CrashHistory, policy: AppConfig['restart']): CrashDecision {
  const lived = crash.readyForMs !== null && crash.readyForMs >= policy.resetMs;
  const attempt = lived ? 0 : history.attempt;
  const starts = crash.readyForMs === null ? history.starts + 1 : 0;
  const crashesMs = [...history.crashesMs.filter((at) => at > crash.nowMs - policy.intensityMs), crash.nowMs];
  const next = { starts, attempt: attempt + 1, crashesMs };
  if (!crash.generationWasReady && starts >= policy.startsMax) {
    return {
      kind: 'giveUp',
      reason: `${crash.reason}, ${starts} ${starts === 1 ? 'time' : 'times'} without having been ready`,
      history: next,
    };
  }
  if (policy.max !== null && crashesMs.length > policy.max) {
    return { kind: 'giveUp', reason: `${crash.reason}; more than ${policy.max} crashes within ${policy.intensityMs} ms`, history: next };
  }
  const ceiling = Math.min(policy.delayMaxMs, policy.delayMs * 2 ** Math.min(attempt, 30));
  const degraded =
    crashesMs.length > policy.intensity ? `${crashesMs.length} crashes within ${policy.intensityMs} ms, the last: ${crash.reason}` : null;
  return { kind: 'retry', delayMs: Math.round(ceiling * crash.random), history: next, degraded };
}
