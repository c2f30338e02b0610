/**
 * What an app's workers are and leave as a group: the cgroup they are born in (host/cgroups.ts), why the kernel ended one of them, and
 * whatever is left of them once they are gone. Without cgroups what is left is found by what it inherited (slots/orphans.ts).
 */
import { sweepOrphans } from '../slots/orphans.ts';
import type { WorkerEnd } from '../slots/worker-end.ts';
import type { App } from './app.ts';

export class AppGroup {
  readonly #app: App;
  #oomKills = 0;

  constructor(app: App) {
    this.#app = app;
  }

  /** For a worker to be born in; null where there are no cgroups. Throws where a limit could not be set. */
  open(): string | null {
    const { name, config, deps } = this.#app;
    const folder = deps.cgroups.open(name, config);
    const before = this.#oomKills;
    this.watch();
    if (this.#oomKills !== before) this.#app.memory.keepApp();
    return folder;
  }

  /** What was counted until now is of nobody that ends from now on: of a child of a worker. */
  watch(): void {
    this.#oomKills = this.#app.deps.cgroups.oomKills(this.#app.name) ?? 0;
  }

  /** How many the supervisor before this one had seen: what came since is of a worker whose end is yet to be told. */
  adopt(oomKills: number | null): void {
    if (oomKills === null) this.watch();
    else this.#oomKills = oomKills;
  }

  get oomKills(): number {
    return this.#oomKills;
  }

  /** The end of a worker that nobody here killed: whether it was for lack of memory. One of several at once takes one of the count. */
  explain(end: WorkerEnd): WorkerEnd {
    if (end.signal !== 'SIGKILL') return end;
    const counted = this.#app.deps.cgroups.oomKills(this.#app.name) ?? 0;
    if (counted <= this.#oomKills) return end;
    this.#oomKills++;
    return { ...end, oom: true };
  }

  /** Its workers are gone: so is whatever they left behind, and then the group. */
  async sweep(): Promise<void> {
    const { name, config, deps } = this.#app;
    const group = { pids: () => deps.cgroups.pids(name), kill: () => deps.cgroups.kill(name) };
    const count = await sweepOrphans(deps.env, { app: name, initPid: deps.init.pid, group }, config.killTimeoutMs);
    if (count > 0) deps.events.announce({ type: 'orphans.swept', app: name, count });
    deps.cgroups.remove(name);
  }
}
