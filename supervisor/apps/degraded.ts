/** Whether an app crashes too often: said once, and over when no crash has followed for as long as crashes count. */
import type { Timer } from '../env.ts';
import type { App } from './app.ts';

export class Degraded {
  readonly #app: App;
  #timer: Timer | null = null;
  /** CLOCK_MONOTONIC milliseconds; null when it is not. */
  untilMs: number | null = null;

  constructor(app: App) {
    this.#app = app;
  }

  /** `reason` is the policy's: null for a crash that is one of few, which only makes it last when it is degraded already. */
  crashed(reason: string | null): void {
    const { deps, name, config } = this.#app;
    if (this.untilMs === null && reason === null) return;
    if (this.untilMs === null && reason !== null) deps.events.announce({ type: 'app.degraded', app: name, reason });
    this.#set(deps.env.nowMs() + config.restart.intensityMs);
  }

  /** As the supervisor before this one noted it. */
  adopt(untilMs: number | null): void {
    if (untilMs !== null && untilMs > this.#app.deps.env.nowMs()) this.#set(untilMs);
  }

  reset(): void {
    this.#timer?.cancel();
    this.untilMs = null;
  }

  #set(untilMs: number): void {
    const { env } = this.#app.deps;
    this.#timer?.cancel();
    this.untilMs = untilMs;
    this.#timer = env.after(untilMs - env.nowMs(), () => {
      this.reset();
      this.#app.announceStatus('no crash for as long as crashes count');
    });
    this.#app.memory.keepApp();
  }
}
