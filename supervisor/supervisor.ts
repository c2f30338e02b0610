/**
 * Everything one supervisor knows, put together: covet-init's wire, the apps, what is wanted, logs, events. The operations work on it;
 * main.ts, embedded.ts and `run` differ only in how they start it.
 */
import { App } from './apps/app.ts';
import type { AppDeps } from './apps/app-deps.ts';
import { start, stop } from './apps/verbs.ts';
import { adoptApp } from './adoption/adopt.ts';
import { SafeMode } from './adoption/safe-mode.ts';
import { endLeftovers } from './adoption/leftovers.ts';
import type { Env } from './env.ts';
import { EventLog } from './event-log.ts';
import { Cgroups, readCgroupPlan } from './host/cgroups.ts';
import type { Held } from './init/held.ts';
import { InitClient } from './init/init-client.ts';
import { RECOVERED_KEY } from './init/keys.ts';
import { Notes } from './init/notes.ts';
import { ListenerRegistry } from './listeners/registry.ts';
import { LogStore } from './logs/log-store.ts';
import { Sampler } from './metrics/sampler.ts';
import { CovetError, nearMatch } from './protocol/errors.ts';
import { ServiceManager } from './service-manager.ts';
import { ReadyNotices } from './slots/ready-notices.ts';
import { WorkerTable } from './slots/worker-table.ts';
import { tendTemporaryHomes } from './state/temporary-homes.ts';
import type { FailedStart } from './protocol/operations.ts';
import { keepWriting } from './adoption/unknown-workers.ts';
import { WantedState, type AppRecord } from './state/wanted.ts';

export class SupervisorCore {
  readonly env: Env;
  readonly init: InitClient;
  readonly notes: Notes;
  readonly events: EventLog;
  readonly logs: LogStore;
  readonly registry = new ListenerRegistry();
  readonly wanted: WantedState;
  readonly apps = new Map<string, App>();
  readonly sampler = new Sampler();
  readonly startedAt: string;
  readonly safeMode = new SafeMode(this);
  readonly serviceManager = new ServiceManager(this);
  readonly cgroups = new Cgroups((words) => this.logs.say('supervisor', words));
  readonly workers: WorkerTable;
  readonly notices: ReadyNotices;
  /** What covet-init held when it was greeted, less what was adopted; null until all of it was told. */
  held: Held | null = null;
  /** Ran when a supervisor died, and nothing of them is left to take over. */
  readonly #interrupted: App[] = [];
  /** What was wrong with wanted.json when it was read, in words: apps may be missing. */
  stateProblem: string | null = null;
  isStopping = false;
  #resurrecting: Promise<readonly FailedStart[]> | null = null;
  /** Apps that serve on for their `lameDuckMs`: what ends that. */
  readonly #lameDucks = new Set<() => void>();

  constructor(env: Env, initFd: number) {
    this.env = env;
    this.startedAt = env.wallClock().toISOString();
    this.init = new InitClient(env, initFd);
    this.notes = new Notes(this.init, (error) => this.logs.say('supervisor', `a note was not kept: ${error.message}`));
    this.events = new EventLog(env);
    this.logs = new LogStore(env, this.events);
    this.wanted = new WantedState(env.paths.wanted);
    this.events.on('event', (event) => {
      if (event.type === 'slot.changed' && event.to === 'ready') void this.sampler.refresh([event.pid]);
      if (event.type === 'worker.exited') this.sampler.forget(event.pid);
    });
    this.workers = new WorkerTable(this.init, (fd) => env.native.closeFd(fd));
    this.notices = new ReadyNotices(
      env,
      this.init,
      (pid) => this.workers.saidReady(pid),
      (words) => this.logs.say('supervisor', words),
    );
  }

  /** Greets covet-init, reads what is wanted, knows every app, and takes over what runs of them; starts none. */
  async recover(): Promise<void> {
    const held = await this.init.hello();
    this.held = held;
    if (this.env.isHomeTemporary) this.#tendHomes();
    this.notes.adopt(held.notes);
    if (!this.env.faults.has('no-cgroups'))
      this.cgroups.begin(readCgroupPlan(this.init.pid, this.init.isService), [this.init.pid, process.pid]);
    this.stateProblem = await this.wanted.load();
    if (this.stateProblem !== null) this.logs.say('supervisor', this.stateProblem);
    for (const record of this.wanted.records.values()) this.add(record);
    this.events.announce({ type: 'supervisor.started', version: this.env.version, pid: process.pid });
    this.safeMode.begin();
    this.serviceManager.begin();
    let adopted = 0;
    const isOff = this.env.faults.has('no-adoption');
    for (const app of [...this.apps.values()]) {
      const { workers, mustStart } = isOff ? { workers: 0, mustStart: app.record.isWanted } : await adoptApp(app, held);
      adopted += workers;
      if (mustStart) this.#interrupted.push(app);
    }
    this.notices.adopt(held);
    // Without a list of what is wanted nobody can say that a worker is not.
    const ended = this.stateProblem === null ? endLeftovers(this.env, this.init, held) : 0;
    if (this.stateProblem !== null) await keepWriting(this.logs, held);
    held.close();
    this.notes.drop(RECOVERED_KEY);
    this.#dropDeleted();
    // Before the ends of workers are told: each is a crash, and answered by the restart policy.
    if (!this.safeMode.isOn) for (const app of this.apps.values()) app.resume();
    this.workers.begin();
    if (adopted + ended > 0)
      this.logs.say('supervisor', `took over ${adopted} workers and ended ${ended} of the supervisor before this one`);
  }

  /** An app of which a supervisor died just before its record went. */
  #dropDeleted(): void {
    for (const app of this.apps.values()) if (app.record.isDeleting && app.plan.phase === 'stopped') app.forget();
  }

  /** Starts anew what ran and could not be taken over. */
  async startInterrupted(): Promise<void> {
    await this.#start(this.#interrupted.splice(0));
  }

  #tendHomes(): void {
    try {
      tendTemporaryHomes(this.env);
    } catch (error) {
      this.logs.say('supervisor', `temporary homes could not be looked after, going on: ${(error as Error).message}`);
    }
  }

  /** Runs every app that was wanted and does not run; resolves with those that failed. Who asks while it goes on waits for it. */
  async resurrect(): Promise<readonly FailedStart[]> {
    this.#resurrecting ??= this.#wake().finally(() => (this.#resurrecting = null));
    return this.#resurrecting;
  }

  async #wake(): Promise<readonly FailedStart[]> {
    const isAsleep = ({ name, record, plan }: App): boolean =>
      record.isWanted && plan.phase === 'stopped' && this.safeMode.setAside(name) === null;
    return this.#start([...this.apps.values()].filter(isAsleep));
  }

  async #start(asleep: readonly App[]): Promise<readonly FailedStart[]> {
    const failed: FailedStart[] = [];
    const tryStart = async (app: App): Promise<void> => {
      try {
        await start(app);
      } catch (error) {
        const reason = (error as Error).message;
        this.logs.say(app.name, reason);
        failed.push({ app: app.name, reason });
      }
    };
    await Promise.all(asleep.map(tryStart));
    return failed;
  }

  add(record: AppRecord): App {
    const deps: AppDeps = {
      env: this.env,
      init: this.init,
      workers: this.workers,
      notices: this.notices,
      registry: this.registry,
      logs: this.logs,
      events: this.events,
      notes: this.notes,
      cgroups: this.cgroups,
      save: (name, change) => this.wanted.save(name, change),
      otherPinned: (name) =>
        [...this.apps.values()].find((other) => other.name !== name && other.pins.on && other.live !== null)?.name ?? null,
      onForgotten: (app) => this.apps.delete(app.name),
    };
    const app = new App(deps, record);
    this.apps.set(app.name, app);
    return app;
  }

  /** Throws COVET_ERR_APP_UNKNOWN. */
  app(name: string): App {
    const app = this.apps.get(name);
    if (app === undefined) throw new CovetError('COVET_ERR_APP_UNKNOWN', { app: name, near: nearMatch(name, this.apps.keys()) });
    return app;
  }

  /** An app that something is to be started of. Throws COVET_ERR_APP_UNKNOWN and those of requireRunning. */
  appToRun(name: string): App {
    this.requireRunning();
    const app = this.app(name);
    this.safeMode.name(app);
    return app;
  }

  /** Throws COVET_ERR_SUPERVISOR_STOPPING, COVET_ERR_SUPERVISOR_SAFE: nothing is started now. */
  requireRunning(): void {
    this.requireAlive();
    if (this.safeMode.isOn) throw new CovetError('COVET_ERR_SUPERVISOR_SAFE');
  }

  /** Throws COVET_ERR_SUPERVISOR_STOPPING: whatever would start something comes too late. */
  requireAlive(): void {
    if (this.isStopping) throw new CovetError('COVET_ERR_SUPERVISOR_STOPPING');
  }

  /** SIGHUP: looks after what others may have changed under us. */
  lookAround(): void {
    this.logs.reopen();
    for (const app of this.apps.values()) for (const slot of app.current()) app.host.lending.checkSockets(slot);
  }

  /** Drains and ends every app; what is wanted stays on disk. Asked a second time, it waits for nobody's `lameDuckMs`. */
  async stopAll(reason: string, { hasLameDucks = false } = {}): Promise<void> {
    const mayWait = hasLameDucks && !this.isStopping;
    if (!this.isStopping) {
      this.events.announce({ type: 'supervisor.stopping', reason });
      this.serviceManager.stopping();
    }
    this.isStopping = true;
    for (const end of this.#lameDucks) end();
    const end = async (app: App): Promise<void> => {
      if (mayWait && app.config.lameDuckMs > 0 && app.isServing) await this.#lameDuck(app.config.lameDuckMs);
      await stop(app, 'kill');
    };
    await Promise.all([...this.apps.values()].map(end));
  }

  /** Every worker that is to leave was told so. */
  async drainsBegun(): Promise<void> {
    await Promise.all([...this.apps.values()].map(async (app) => app.allEmptied));
  }

  #lameDuck(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        this.#lameDucks.delete(end);
        resolve();
      };
      const timer = this.env.after(ms, end);
      this.#lameDucks.add(end);
    });
  }
}
