/**
 * One app: its plan, its generations, its listeners. The shell of plan-machine.ts: everything that happens to the app is put to the plan
 * as an event, and the plan's effects are carried out here. Operations wait for the plan's `answer`.
 */
import { randomBytes } from 'node:crypto';
import { readCpuGrant } from '../host/cpu-grant.ts';
import { maxInstances, planPins, type PinPlan } from '../host/pin-policy.ts';
import type { AppConfig } from '../protocol/config.ts';
import type { AppStatus } from '../protocol/states.ts';
import type { Slot } from '../slots/slot.ts';
import type { AppRecord } from '../state/wanted.ts';
import { Answers } from './answers.ts';
import { NOTHING_YET, type AppDeps, type Outcome } from './app-deps.ts';
import { AppHost } from './app-host.ts';
import { addDrain } from '../protocol/drain-counts.ts';
import { Memory } from './memory.ts';
import { Degraded } from './degraded.ts';
import { Effects } from './effects.ts';
import type { Generation } from './generation.ts';
import { modeOf } from './hiring.ts';
import { stepPlan, type Plan, type PlanEvent, type Verdict } from './plan-machine.ts';
import { statusOf } from './status.ts';

export class App {
  readonly name: string;
  readonly deps: AppDeps;
  record: AppRecord;
  plan: Plan = { phase: 'stopped', failed: null };
  readonly generations = new Map<number, Generation>();
  /** Of its TLS servers, one set for all its workers: base64, 48 bytes. */
  ticketKeys = randomBytes(48).toString('base64');
  pins: PinPlan = { on: false, why: 'not started', cpusOf: () => null };
  lastExit: string | null = null;
  /** A start or reload is under way that the plan does not know yet: its record is on its way to disk. */
  isPreparing = false;
  /** Counts stops and deletes: one that came while a start was prepared ends it. */
  stops = 0;
  /** Deleted: nothing puts its record on disk again. */
  isForgotten = false;
  /** Settles when a deleted app's record is off the disk; resolved for any other. */
  recordGone: Promise<unknown> = Promise.resolve();
  /** What leaving workers came to, since the last verb began. */
  outcome: Outcome = NOTHING_YET;
  /** What a stop begins with: its workers empty their queues. Resolved before the first. */
  allEmptied: Promise<void> = Promise.resolve();
  readonly answers = new Answers();
  readonly host: AppHost;
  readonly memory = new Memory(this);
  readonly degraded = new Degraded(this);
  readonly #effects = new Effects(this);
  #isAdopting = false;
  /** Taken over, and not gone on with yet: its slots whose workers were on their way out. */
  #paused: readonly Slot[] | null = null;
  #status: AppStatus | 'none' = 'none';

  constructor(deps: AppDeps, record: AppRecord) {
    this.deps = deps;
    this.name = record.config.name;
    this.record = record;
    this.host = new AppHost(this);
  }

  get config(): AppConfig {
    return this.record.config;
  }

  /** The workers' user. */
  get uid(): number {
    return this.config.uid ?? this.deps.env.uid;
  }

  /** How many workers it should have. */
  get wanted(): number {
    const { instances } = this.config;
    return instances === 'max' ? maxInstances(readCpuGrant(this.deps.env.native)) : (instances ?? 1);
  }

  /** Stopping, or stopped: nothing serves on. */
  get isEnding(): boolean {
    return this.plan.phase === 'stopping' || this.plan.phase === 'stopped';
  }

  /** It was up, and is not ending: balancers may count on it. */
  get isServing(): boolean {
    return this.plan.phase !== 'starting' && !this.isEnding;
  }

  get live(): Generation | null {
    return 'live' in this.plan ? (this.generations.get(this.plan.live) ?? null) : null;
  }

  get status(): AppStatus {
    const { plan, live } = this;
    const ready = [...(live?.slots.values() ?? [])].filter((slot) => slot.state === 'ready').length;
    return statusOf({ plan, ready, wanted: live?.size ?? 0, isDegraded: this.degraded.untilMs !== null });
  }

  /** Old and new at once where the sockets are lent; else one at a time. */
  get reloadMode(): 'overlap' | 'replace' {
    const listeners = this.deps.registry.of(this.name);
    return listeners.length > 0 && !this.config.onlyOne && this.host.ownAddresses.size === 0 ? 'overlap' : 'replace';
  }

  get mode(): 'cluster' | 'fork' | 'self-bound' {
    if (this.host.ownAddresses.size > 0) return 'self-bound';
    return modeOf(this.config, this.live?.launch.isNode ?? true);
  }

  /** The one door: puts an event to the plan and does what it says. */
  dispatch(event: PlanEvent, slot?: Slot): Verdict {
    const step = stepPlan(this.plan, event);
    this.plan = step.plan;
    // Before the effects, of which each tells its own consequences. A deleted app's end is told by forget().
    if (!(this.isForgotten && this.plan.phase === 'stopped')) this.announceStatus(this.#reasonOf(event));
    for (const effect of step.effects) this.#effects.act(effect, slot);
    this.memory.keepApp();
    return step.verdict;
  }

  /** Why its status is now what it is: for an app that is through with failing, what it failed of. */
  #reasonOf(event: PlanEvent): string {
    if ('reason' in event) return event.reason;
    if (event.type !== 'allGone') return event.type;
    return (this.plan.phase === 'stopped' ? this.plan.failed : null) ?? 'all its workers are gone';
  }

  /** Between these two the workers and listeners of the supervisor before this one take their places, and nothing is concluded. */
  beginAdoption(plan: Plan): void {
    this.#isAdopting = true;
    this.isForgotten = this.record.isDeleting;
    this.plan = plan;
    this.pins = this.planPins();
  }

  /** `leaving`: slots whose workers were on their way out. Nothing is started or ended before `resume`. */
  endAdoption(leaving: readonly Slot[]): void {
    this.#isAdopting = false;
    this.#paused = leaving;
    this.memory.keepApp();
    for (const listener of this.deps.registry.of(this.name)) listener.refresh();
    this.announceStatus('adopted');
  }

  /** What was under way goes on. Does nothing when the app was not taken over, or goes on already. */
  resume(): void {
    const leaving = this.#paused;
    if (leaving === null) return;
    this.resumeStop();
    const { plan, live } = this;
    if (plan.phase === 'stopping') return;
    live?.take();
    for (const slot of leaving) slot.dispatch({ type: 'drain', reason: 'it was leaving' });
    if (plan.phase === 'settling') this.#effects.act({ type: 'drainGeneration', generation: plan.retired });
    this.refill();
    live?.resize(this.wanted, true);
    this.lookUp();
  }

  /** As `resume`, for one that is to be stopped: nothing else goes on. */
  resumeStop(): void {
    if (this.#paused === null) return;
    this.#paused = null;
    if (this.plan.phase === 'stopping') this.#effects.act({ type: 'drainAll' });
  }

  /** Whether the generation that comes up is up; called after whatever may have completed it. */
  lookUp(): void {
    const { plan } = this;
    if (this.#paused !== null) return;
    const coming = plan.phase === 'reloading' ? this.generations.get(plan.candidate) : this.live;
    if (coming === undefined || coming === null || this.#effects.replacement?.isBusy === true) return;
    const listeners = this.deps.registry.of(this.name);
    if (coming.missing(listeners, this.config.minHealthyMs, () => this.lookUp()) === null) this.dispatch({ type: 'up' });
    else if (plan.phase === 'reloading') {
      // The plan is a new object as soon as this reload is over.
      coming.expectCoverage(
        this.config.readyTimeoutMs,
        listeners,
        (reason) => this.plan === plan && this.dispatch({ type: 'reloadFailed', reason }),
      );
    }
  }

  /** A slot's worker is gone for good: an old generation, or the whole app, may be through. */
  slotGone(slot: Slot): void {
    this.outcome = { drain: addDrain(this.outcome.drain, slot.drainCounts), killed: this.outcome.killed + (slot.wasKilled ? 1 : 0) };
    const generation = this.generations.get(slot.generation);
    if (generation !== undefined && slot.index >= generation.size) generation.slots.delete(slot.index);
    this.#effects.replacement?.slotGone(slot);
    this.dropEmptyGenerations();
    if (this.plan.phase === 'settling' && !this.generations.has(this.plan.retired)) this.dispatch({ type: 'retired' });
    if (this.plan.phase === 'stopping' && this.generations.size === 0) void this.#effects.allGone();
    this.refill();
    if (this.plan.phase === 'running') this.lookUp();
  }

  /** Slots that left and are wanted again: scaled down and up within a drain, or given up for a reload that failed. */
  refill(): void {
    const { live } = this;
    if (live === null || this.plan.phase !== 'running' || this.#paused !== null) return;
    const others = [...this.generations.values()].some((generation) => generation !== live && generation.hasProcesses);
    // The old spec does not run beside a new one that is still ending.
    if (!others) live.refill();
  }

  slotChanged(slot: Slot, reason: string): void {
    if (this.#isAdopting) return;
    if (slot.state === 'ready') {
      const generation = this.generations.get(slot.generation);
      if (!this.isPaused && (this.#effects.replacement === null || generation === this.live)) generation?.fill();
      this.#effects.replacement?.slotReady(slot);
    }
    for (const listener of this.deps.registry.of(this.name)) listener.refresh();
    if (slot.state === 'ready') this.lookUp();
    this.closeWhenDeaf();
    this.announceStatus(`slot ${slot.index}: ${reason}`);
  }

  /** A stop closes the listeners as soon as no worker accepts: clients are refused from then on, and nothing that waited is reset. */
  closeWhenDeaf(): void {
    this.#effects.closeWhenDeaf();
  }

  /** Slots of what serves, or will. */
  current(): Slot[] {
    return [...this.generations.values()]
      .filter((generation) => this.isCurrent(generation))
      .flatMap((generation) => [...generation.slots.values()]);
  }

  /** In safe mode: what ends is not started again. */
  get isPaused(): boolean {
    return this.#paused !== null;
  }

  /** Whether a successor takes over this very slot's socket. */
  isReplacing(slot: Slot): boolean {
    return this.#effects.replacement !== null && this.live?.number === slot.generation;
  }

  /** Puts a changed record on disk, then in force. Throws COVET_ERR_STATE_WRITE, and then nothing changed. */
  async save(change: Partial<AppRecord> | ((record: AppRecord) => Partial<AppRecord>)): Promise<AppRecord> {
    const saved = await this.deps.save(this.name, (known) => {
      const record = known ?? this.record;
      return this.isForgotten ? (known ?? null) : { ...record, ...(typeof change === 'function' ? change(record) : change) };
    });
    return (this.record = saved ?? this.record);
  }

  /** What the next start runs; on disk with that start. */
  change(change: Pick<AppRecord, 'config' | 'env'>): void {
    this.record = { ...this.record, ...change };
    this.deps.logs.close(this.name);
  }

  announceStatus(reason: string): void {
    const [from, to] = [this.#status, this.status];
    if (from === to) return;
    this.#status = to;
    this.deps.events.announce({ type: 'app.changed', app: this.name, from, to, reason });
  }

  /** On which CPUs its workers are to run, as things are now. */
  planPins(): PinPlan {
    return planPins(this.config.pin, this.wanted, readCpuGrant(this.deps.env.native), this.deps.otherPinned(this.name));
  }

  /** Deleted, and nothing of it runs. */
  forget(): void {
    this.deps.registry.forget(this.name);
    this.deps.logs.close(this.name);
    this.memory.forget();
    this.deps.events.announce({ type: 'app.changed', app: this.name, from: this.#status, to: 'none', reason: 'deleted' });
    this.#status = 'none';
    this.deps.onForgotten(this);
    // Unless another app has the name already.
    this.recordGone = this.deps.save(this.name, (known) => (known?.isDeleting === true ? null : (known ?? null)));
    this.recordGone.catch((error: Error) => this.deps.logs.say(this.name, error.message));
  }

  /** A generation without a process, that nothing will start again, is history. */
  dropEmptyGenerations(): void {
    for (const [number, generation] of this.generations) {
      const isOver = [...generation.slots.values()].every((slot) => !slot.hasProcess && slot.state !== 'backoff');
      const isLeaving = this.plan.phase === 'stopping' || !this.isCurrent(generation);
      if (!isOver || !isLeaving) continue;
      this.generations.delete(number);
      for (const listener of this.deps.registry.of(this.name)) listener.forgetGeneration(number);
    }
  }

  isCurrent(generation: Generation): boolean {
    const { plan } = this;
    return ('live' in plan && plan.live === generation.number) || (plan.phase === 'reloading' && plan.candidate === generation.number);
  }
}
