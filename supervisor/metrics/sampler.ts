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
  /** About to be looked at, and not ended since. */
  readonly #asked = new Set<number>();

  /** Ends when the looks asked for so far are taken. */
  #looking: Promise<void> = Promise.resolve();

  /**
   * Brings the samples of these processes up to date. The first look at one is what the next is counted from. One after another: where pidusage
   * looks at a process twice at once, it keeps one of the two descriptors for ever.
   */
  async refresh(pids: readonly number[]): Promise<void> {
    for (const pid of pids) this.#asked.add(pid);
    const mine = this.#looking.then(async () => this.#look(pids));
    this.#looking = mine.catch(() => {}); // told to whoever asked
    await mine;
  }

  async #look(pids: readonly number[]): Promise<void> {
    const nowMs = performance.now();
    const stale = pids.filter((pid) => nowMs - (this.#looks.get(pid)?.atMs ?? -Infinity) >= FRESH_MS);
    const taken = stale.length === 0 ? {} : await pidusage(stale, { maxage: FRESH_MS }).catch(() => ({})); // every one of them may have ended meanwhile
    // null for one that ended, whatever its types say.
    const stats = taken as Readonly<Record<number, pidusage.Status | null>>;
    for (const pid of pids) {
      const status = stats[pid];
      if (this.#asked.delete(pid) && status) this.#looks.set(pid, look(status, nowMs, this.#looks.get(pid)));
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
