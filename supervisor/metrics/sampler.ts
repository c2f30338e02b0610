/**
 * CPU and memory of workers, by pidusage: taken when somebody asks, at most once a second, so that a supervisor nobody watches costs
 * nothing. CPU is a share of one core since the last look.
 */
import pidusage from 'pidusage';

const FRESH_MS = 1_000;
/** CPU is counted from the last look, which may be long ago; pidusage forgets after a minute by itself. */
const HISTORY_MS = 3_600_000;

export interface Sample {
  readonly cpuPercent: number;
  readonly rssBytes: number;
}

const NOTHING: Sample = { cpuPercent: 0, rssBytes: 0 };

export class Sampler {
  #samples = new Map<number, Sample>();
  #takenMs = -Infinity;

  /** A first look, so that the next one has something to count from. */
  prime(pid: number): void {
    void pidusage(pid, { maxage: HISTORY_MS }).catch(() => {}); // it ended at once: there is nothing to count
  }

  /** Brings the samples of these processes up to date. */
  async refresh(pids: readonly number[]): Promise<void> {
    const now = performance.now();
    const known = pids.every((pid) => this.#samples.has(pid));
    if (pids.length === 0 || (known && now - this.#takenMs < FRESH_MS)) return;
    this.#takenMs = now;
    const stats = await pidusage([...pids], { maxage: HISTORY_MS }).catch(() => ({})); // every one of them may have ended meanwhile
    this.#samples = new Map(
      Object.entries(stats as Record<string, pidusage.Status | undefined>).flatMap(([pid, status]) =>
        status === undefined ? [] : [[Number(pid), { cpuPercent: Math.round(status.cpu * 10) / 10, rssBytes: status.memory }] as const],
      ),
    );
  }

  of(pid: number): Sample {
    return this.#samples.get(pid) ?? NOTHING;
  }
}
