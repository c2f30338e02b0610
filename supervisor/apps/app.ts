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
import { addDrain } from './drain-counts.ts';
import { flip } from './flip.ts';
import { coverageOf, type Generation } from './generation.ts';
import { modeOf } from './hiring.ts';
import { stepPlan, type Plan, type PlanEffect, type PlanEvent, type Verdict } from './plan-machine.ts';
import { Replacement } from './replacement.ts';
import { statusOf } from './status.ts';

export class App {
  readonly name: string;
  readonly deps: AppDeps;
  record: AppRecord;
  plan: Plan = { phase: 'stopped', failed: null };
  readonly generations = new Map<number, Generation>();
  readonly ticketKeys = randomBytes(48).toString('base64');
  pins: PinPlan = { on: false, why: 'not started', cpusOf: () => null };
  isDegraded = false;
  lastExit: string | null = null;
  /** A start or reload is under way that the plan does not know yet: its record is on its way to disk. */
  isPreparing = false;
  /** Counts stops and deletes: one that came while a start was prepared ends it. */
  stops = 0;
  /** Deleted: nothing puts its record on disk again. */
  isForgotten = false;
  /** What leaving workers came to, since the last verb began. */
  outcome: Outcome = NOTHING_YET;
  readonly answers = new Answers();
  /** A reload in replace mode, while it runs. */
  #replacement: Replacement | null = null;
  readonly host: AppHost;
  #status: AppStatus | 'none' = 'none';
  #isSweeping = false;

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

  get live(): Generation | null {
    return 'live' in this.plan ? (this.generations.get(this.plan.live) ?? null) : null;
  }

  get status(): AppStatus {
    const ready = [...(this.live?.slots.values() ?? [])].filter((slot) => slot.state === 'ready').length;
    return statusOf({ plan: this.plan, wanted: this.wanted, ready, isDegraded: this.isDegraded });
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
    for (const effect of step.effects) this.#act(effect, slot);
    this.announceStatus('reason' in event ? event.reason : event.type);
    return step.verdict;
  }

  /** Whether the generation that comes up is up; called after whatever may have completed it. */
  lookUp(): void {
    const { plan } = this;
    const coming = plan.phase === 'reloading' ? this.generations.get(plan.candidate) : this.live;
    if (coming === undefined || coming === null || this.#replacement?.isBusy === true) return;
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
    this.#replacement?.slotGone(slot);
    this.#dropEmptyGenerations();
    if (this.plan.phase === 'settling' && !this.generations.has(this.plan.retired)) this.dispatch({ type: 'retired' });
    if (this.plan.phase === 'stopping' && this.generations.size === 0) void this.#allGone();
    this.#refill();
    if (this.plan.phase === 'running') this.lookUp();
  }

  /** Slots that left and are wanted again: scaled down and up within a drain, or given up for a reload that failed. */
  #refill(): void {
    const { live } = this;
    if (live === null || this.plan.phase !== 'running') return;
    const others = [...this.generations.values()].some((generation) => generation !== live && generation.hasProcesses);
    // The old spec does not run beside a new one that is still ending.
    if (!others) live.refill();
  }

  slotChanged(slot: Slot): void {
    if (slot.state === 'ready') {
      const generation = this.generations.get(slot.generation);
      if (generation !== undefined) {
        generation.wasReady = true;
        if (this.#replacement === null || generation === this.live) generation.fill();
      }
      this.#replacement?.slotReady(slot);
    }
    for (const listener of this.deps.registry.of(this.name)) listener.refresh();
    if (slot.state === 'ready') this.lookUp();
    this.announceStatus(`slot ${slot.index} is ${slot.state}`);
  }

  /** Slots of what serves, or will. */
  current(): Slot[] {
    return [...this.generations.values()]
      .filter((generation) => this.#isCurrent(generation))
      .flatMap((generation) => [...generation.slots.values()]);
  }

  /** Whether a successor takes over this very slot's socket. */
  isReplacing(slot: Slot): boolean {
    return this.#replacement !== null && this.live?.number === slot.generation;
  }

  /** Puts a changed record on disk, then in force. Throws COVET_ERR_STATE_WRITE, and then nothing changed. */
  async save(change: Partial<AppRecord> | ((record: AppRecord) => Partial<AppRecord>)): Promise<AppRecord> {
    const saved = await this.deps.save(this.name, (known) => {
      const record = known ?? this.record;
      return this.isForgotten ? null : { ...record, ...(typeof change === 'function' ? change(record) : change) };
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

  #act(effect: PlanEffect, slot: Slot | undefined): void {
    switch (effect.type) {
      case 'startGeneration':
        return this.#startGeneration(effect.generation);
      case 'flip':
        return void flip(this, effect.to);
      case 'drainGeneration':
        this.generations.get(effect.generation)?.drain('replaced by a new generation');
        this.#dropEmptyGenerations();
        if (!this.generations.has(effect.generation)) queueMicrotask(() => this.dispatch({ type: 'retired' }));
        return;
      case 'killGeneration':
        return this.#killCandidate(effect.generation);
      case 'drainAll':
        return this.#drainAll();
      case 'resize':
        // A replacement fills the new generation slot by slot, and goes on to its last.
        for (const generation of this.generations.values())
          if (this.#isCurrent(generation)) generation.resize(this.wanted, this.#replacement === null);
        return;
      case 'restartSlot':
        if (slot !== undefined) this.host.restart(slot, effect.reason);
        return;
      case 'closeListeners':
        return void this.deps.registry.end(this.name, 'closed');
      case 'answer':
        return this.answers.give(effect.to, effect.error);
      case 'forget':
        return this.#forget();
    }
  }

  #startGeneration(number: number): void {
    const generation = this.generations.get(number);
    if (generation === undefined) throw new Error(`Expected generation ${number} of ${this.name} to be prepared`);
    this.pins = planPins(this.config.pin, this.wanted, readCpuGrant(this.deps.env.native), this.deps.otherPinned(this.name));
    const { plan } = this;
    if (plan.phase !== 'reloading') return generation.fill();
    const live = this.generations.get(plan.live)!;
    if (this.reloadMode === 'overlap') {
      generation.coverage = coverageOf(this.deps.registry.of(this.name), plan.live);
      return generation.fill();
    }
    this.#replacement = new Replacement(live, generation, this.config.minHealthyMs, this.deps.env, () => {
      this.#replacement = null;
      this.lookUp();
    });
    this.#replacement.begin();
  }

  #killCandidate(number: number): void {
    const generation = this.generations.get(number);
    this.#replacement?.abandon();
    this.#replacement = null;
    generation?.kill('the reload failed');
    for (const listener of this.deps.registry.of(this.name)) listener.forgetGeneration(number);
    this.#dropEmptyGenerations();
    queueMicrotask(() => {
      this.#refill();
      this.lookUp();
    });
  }

  #drainAll(): void {
    this.#replacement?.abandon();
    this.#replacement = null;
    for (const generation of [...this.generations.values()]) generation.drain('stopped');
    void this.deps.registry.end(this.name, 'closed');
    this.#dropEmptyGenerations();
    if (this.generations.size === 0) queueMicrotask(() => void this.#allGone());
  }

  async #allGone(): Promise<void> {
    const { plan } = this;
    if (plan.phase !== 'stopping' || this.#isSweeping) return;
    this.#isSweeping = true;
    await this.host.sweepOrphans();
    await this.deps.registry.end(this.name, plan.then === 'failed' ? 'refusing' : 'closed');
    // A failed app keeps its listeners, refusing; another start makes them anew with what its config says then.
    if (plan.then !== 'failed') this.deps.registry.forget(this.name);
    this.host.reset();
    this.#isSweeping = false;
    this.dispatch({ type: 'allGone' });
  }

  #forget(): void {
    this.deps.registry.forget(this.name);
    this.deps.logs.close(this.name);
    this.deps.events.announce({ type: 'app.changed', app: this.name, from: this.#status, to: 'none', reason: 'deleted' });
    this.#status = 'none';
    this.deps.onForgotten(this);
  }

  /** A generation without a process, that nothing will start again, is history. */
  #dropEmptyGenerations(): void {
    for (const [number, generation] of this.generations) {
      const isOver = [...generation.slots.values()].every((slot) => !slot.hasProcess && slot.state !== 'backoff');
      const isLeaving = this.plan.phase === 'stopping' || !this.#isCurrent(generation);
      if (!isOver || !isLeaving) continue;
      this.generations.delete(number);
      for (const listener of this.deps.registry.of(this.name)) listener.forgetGeneration(number);
    }
  }

  #isCurrent(generation: Generation): boolean {
    const { plan } = this;
    return ('live' in plan && plan.live === generation.number) || (plan.phase === 'reloading' && plan.candidate === generation.number);
  }
}
