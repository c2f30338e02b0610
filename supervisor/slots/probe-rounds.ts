/** Asks one worker, of one start, until it has answered its app's probe as often on end as it must. */
import type { AppConfig } from '../protocol/config.ts';
import { probeWorker, type Probed, type ProbeTarget } from './probe.ts';

/** Between two tries. */
const AGAIN_MS = 200;

export interface ProbeRoundsOrder {
  readonly probed: Probed;
  readonly probe: NonNullable<AppConfig['probe']>;
  /** Null while it has no server that could answer. Asked before each try: an app may close one and open another. */
  target(): ProbeTarget | null;
  /** False once the worker is ready, or gone. */
  isWanted(): boolean;
  onPassed(): void;
}

export class ProbeRounds {
  readonly #order: ProbeRoundsOrder;
  #isUnderWay = false;
  /** Why the last try did not pass; empty when it did. */
  problem = '';

  constructor(order: ProbeRoundsOrder) {
    this.#order = order;
  }

  /** Called at whatever may have given it a server. Does nothing while it is asked already. */
  begin(): void {
    if (!this.#isUnderWay) void this.#ask(0);
  }

  async #ask(passed: number): Promise<void> {
    const { probed, probe, target: targetOf, isWanted, onPassed } = this.#order;
    const target = targetOf();
    this.#isUnderWay = target !== null;
    if (target === null) {
      this.problem = `it has no server that could answer GET ${probe.path}`;
      return;
    }
    const problem = await probeWorker(probed, target, probe);
    if (!isWanted()) return;
    this.problem = problem ?? '';
    if (problem === null && passed + 1 >= probe.consecutive) return onPassed();
    probed.env.after(AGAIN_MS, () => {
      if (isWanted()) void this.#ask(problem === null ? passed + 1 : 0);
    });
  }
}
