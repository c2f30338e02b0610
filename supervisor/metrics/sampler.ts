/**
 * CPU and memory of workers, by pidusage: taken when somebody asks, at most once a second, so that a supervisor nobody watches costs
 * nothing. CPU is a share of one core since the last look, however long ago: counted here, for pidusage holds a descriptor for each
 * process that it remembers.
 */
import pidusage from 'pidusage';

const FRESH_MS = 1_000;

export interface Sample {
  readonly cpuPercent: number;
  readonly rssBytes: number;
}

const NOTHING: Sample = { cpuPercent: 0, rssBytes: 0 };

interface Look extends Sample {
  /** CPU time of the process's life. */
  readonly cpuMs: number;
  readonly atMs: number;
}

export class Sampler {
  readonly #looks = new Map<number, Look>();
  /** Being looked at, and not ended since. */
  readonly #asked = new Set<number>();

  /** Brings the samples of these processes up to date. The first look at one is what the next is counted from. */
  async refresh(pids: readonly number[]): Promise<void> {
    const nowMs = performance.now();
    const stale = pids.filter((pid) => nowMs - (this.#looks.get(pid)?.atMs ?? -Infinity) >= FRESH_MS);
    if (stale.length === 0) return;
    for (const pid of stale) this.#asked.add(pid);
    const stats = await pidusage(stale, { maxage: FRESH_MS }).catch(() => ({})); // every one of them may have ended meanwhile
    // null for one that ended, whatever its types say.
    for (const [name, status] of Object.entries(stats as Record<string, pidusage.Status | null>)) {
      const pid = Number(name);
      if (this.#asked.delete(pid) && status !== null) this.#looks.set(pid, look(status, nowMs, this.#looks.get(pid)));
    }
  }

  of(pid: number): Sample {
    return this.#looks.get(pid) ?? NOTHING;
  }

  forget(pid: number): void {
    this.#looks.delete(pid);
    this.#asked.delete(pid);
  }
}

function look({ ctime, memory }: pidusage.Status, atMs: number, before: Look | undefined): Look {
  const share = before === undefined ? 0 : (ctime - before.cpuMs) / (atMs - before.atMs);
  return { cpuMs: ctime, atMs, cpuPercent: Math.round(share * 1_000) / 10, rssBytes: memory };
}
