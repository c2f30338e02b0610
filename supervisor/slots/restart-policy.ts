/**
 * What follows a crash. Pure, on the monotonic clock, with a sliding window (OTP's intensity and period; DESIGN §5's numbers).
 *
 * A generation that was never up gets a few starts a slot and then fails for good: it cannot serve, and whoever waits for it is told
 * in bounded time. One that was up is restarted for ever, after a full-jitter pause that doubles and begins anew once the worker has lived;
 * a slot that does not hold, or too many crashes in the window, make the app degraded, and failed only where `max` says so.
 */
import type { AppConfig } from '../protocol/config.ts';
import type { Ms } from '../protocol/units.ts';

export interface CrashHistory {
  /** Starts in a row that did not hold: ended before they were steady, or before the generation was up. */
  readonly starts: number;
  /** Crashes in a row without a life of `resetMs`. */
  readonly attempt: number;
  /** Instants of the crashes within the window. */
  readonly crashesMs: readonly Ms[];
}

export const NO_HISTORY: CrashHistory = { starts: 0, attempt: 0, crashesMs: [] };

export type CrashDecision =
  | {
      readonly kind: 'retry';
      readonly delayMs: Ms;
      readonly history: CrashHistory;
      /** Why this slot cannot be counted on; null while it can. */
      readonly spent: string | null;
      /** Why the app is degraded; null when it is not for this crash. */
      readonly degraded: string | null;
    }
  | { readonly kind: 'giveUp'; readonly reason: string; readonly history: CrashHistory };

export interface Crash {
  readonly reason: string;
  /** How long the worker had been ready; null when it never was. */
  readonly readyForMs: Ms | null;
  /** Whether all of its generation was ever ready and steady at once. */
  readonly generationWasUp: boolean;
  readonly nowMs: Ms;
  /** From 0 up to 1, drawn by the caller. */
  readonly random: number;
}

export function decideCrash(crash: Crash, history: CrashHistory, config: Pick<AppConfig, 'restart' | 'minHealthyMs'>): CrashDecision {
  const policy = config.restart;
  const readyForMs = crash.readyForMs ?? -1;
  const attempt = readyForMs >= policy.resetMs ? 0 : history.attempt;
  // Before the app is up even a steady life does not count: workers that die in turn would never be up together.
  const held = crash.generationWasUp && readyForMs >= config.minHealthyMs;
  const starts = held ? 0 : history.starts + 1;
  const crashesMs = [...history.crashesMs.filter((at) => at > crash.nowMs - policy.intensityMs), crash.nowMs];
  const next = { starts, attempt: attempt + 1, crashesMs };
  const times = `${crash.reason}, ${starts} ${starts === 1 ? 'time' : 'times'}`;
  if (!crash.generationWasUp && starts >= policy.startsMax)
    return { kind: 'giveUp', reason: `${times} before the app was up`, history: next };
  if (policy.max !== null && crashesMs.length > policy.max) {
    return { kind: 'giveUp', reason: `${crash.reason}; more than ${policy.max} crashes within ${policy.intensityMs} ms`, history: next };
  }
  const ceiling = Math.min(policy.delayMaxMs, policy.delayMs * 2 ** Math.min(attempt, 30));
  const spent = starts >= policy.startsMax ? `${times} in a row before it was ready for ${config.minHealthyMs} ms` : null;
  const degraded =
    crashesMs.length > policy.intensity ? `${crashesMs.length} crashes within ${policy.intensityMs} ms, the last: ${crash.reason}` : spent;
  return { kind: 'retry', delayMs: Math.round(ceiling * crash.random), history: next, spent, degraded };
}
