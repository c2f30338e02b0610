/**
 * What an app's slots need of it (slots/slot-host.ts): hiring a worker, lending sockets, and where a slot's news goes.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Env } from '../env.ts';
import type { HeldWorker } from '../init/held.ts';
import { workerKey } from '../init/keys.ts';
import type { Listener } from '../listeners/listener.ts';
import type { AppConfig } from '../protocol/config.ts';
import type { SlotState } from '../protocol/states.ts';
import { LISTENERS_MAX } from '../protocol/units.ts';
import type { LendReply, LendRequest } from '../protocol/worker-wire.ts';
import { decideCrash } from '../slots/restart-policy.ts';
import type { SlotHost } from '../slots/slot-host.ts';
import type { Slot } from '../slots/slot.ts';
import { describeEnd, type WorkerEnd } from '../slots/worker-end.ts';
import { WorkerHandle, type WorkerCallbacks } from '../slots/worker-handle.ts';
import type { SlotMemo } from '../state/memos.ts';
import type { App } from './app.ts';
import { AppGroup } from './app-group.ts';
import { modeOf, workerOrder } from './hiring.ts';
import { LeftListeners } from './left-listeners.ts';
import { Lending } from './lending.ts';
import { ProbeAim } from './probe-aim.ts';
import { Trials } from './trials.ts';

export class AppHost implements SlotHost {
  readonly env: Env;
  /** Addresses that workers bound by themselves: such an app is reloaded one worker at a time. */
  readonly ownAddresses = new Set<string>();
  readonly lending: Lending;
  readonly trials: Trials;
  readonly aim: ProbeAim;
  readonly left: LeftListeners;
  readonly group: AppGroup;
  readonly #app: App;
  /** Slots whose worker has listened, ever: what they run is a server, and none is ready before it listens. */
  readonly #servers = new Set<number>();
  #hired = 0;

  constructor(app: App) {
    this.#app = app;
    this.lending = new Lending(app);
    this.trials = new Trials(app);
    this.aim = new ProbeAim(app);
    this.left = new LeftListeners(app);
    this.group = new AppGroup(app);
    this.env = app.deps.env;
  }

  get config(): AppConfig {
    return this.#app.config;
  }

  hire(slot: Slot, callbacks: WorkerCallbacks): WorkerHandle {
    const app = this.#app;
    const { env, init, workers, logs, notices } = app.deps;
    const generation = app.generations.get(slot.generation)!;
    const key = workerKey({ app: app.name, generation: slot.generation, slot: slot.index, count: ++this.#hired });
    const worker = new WorkerHandle(env, init, key, callbacks);
    workers.add(worker);
    this.trials.hired(slot, worker);
    const mode = modeOf(app.config, generation.launch.isNode);
    const context = {
      config: app.config,
      generation,
      slot: slot.index,
      mode,
      lend: this.lending.lends(mode),
      cpus: app.pins.cpusOf(slot.index),
      openGroup: () => this.group.open(),
      cacheFolder: this.#cacheFolder(),
      noticePath: app.config.readiness === 'signal' ? notices.path : null,
    };
    void this.#openFor(slot, generation.launch.isNode)
      .then(async (sockets) =>
        worker.start(
          logs.files(app.name),
          sockets,
          (fds) => workerOrder(context, fds),
          (out, err) => logs.attach(app.name, slot.index, out, err),
        ),
      )
      .catch((error: Error) => {
        workers.remove(worker);
        worker.failed(error.message);
      });
    return worker;
  }

  /** What must be there before its first instruction; answers with the sockets that a program without a preload is given. */
  async #openFor(slot: Slot, isNode: boolean): Promise<number[]> {
    if (this.config.readiness === 'signal') await this.#app.deps.notices.open();
    return isNode ? [] : this.lending.lendConfigured(slot);
  }

  /** The handle of a worker that the supervisor before this one hired. */
  adoptWorker(slot: Slot, held: HeldWorker, memo: SlotMemo | null, callbacks: WorkerCallbacks): WorkerHandle {
    const { env, init, workers, logs } = this.#app.deps;
    const worker = new WorkerHandle(env, init, held.key, callbacks);
    workers.add(worker);
    worker.adopt(held, memo?.worker === held.key ? memo.startedMs : env.nowMs());
    logs.attach(this.#app.name, slot.index, held.out, held.err);
    if (memo?.worker === held.key && memo.listening.length > 0) this.#servers.add(slot.index);
    return worker;
  }

  /** Worker keys up to this one are taken. */
  countFrom(count: number): void {
    this.#hired = Math.max(this.#hired, count);
  }

  lend(slot: Slot, request: LendRequest, reply: (reply: LendReply, fd?: number) => void): void {
    void this.lending.answer(slot, request, reply);
  }

  hasPreload(slot: Slot): boolean {
    return this.#app.generations.get(slot.generation)?.launch.isNode === true;
  }

  mustListen(slot: Slot): boolean {
    const { readiness, probe, listen } = this.config;
    if (!this.hasPreload(slot)) return false; // it could not tell
    if (readiness === 'listen' || probe !== undefined || listen.length > 0 || this.#servers.has(slot.index)) return true;
    // A slot that scale has just added is as its neighbours are.
    return this.#servers.size > 1 && slot.index > Math.max(...this.#servers);
  }

  listenersOf(slot: Slot): readonly Listener[] {
    return this.#app.deps.registry.of(this.#app.name).filter((listener) => listener.listeners(slot.generation).has(slot.index));
  }

  onListening(slot: Slot, key: string, own: boolean): void {
    this.#servers.add(slot.index);
    if (own && this.ownAddresses.size < LISTENERS_MAX) this.ownAddresses.add(key);
    if (!own) this.#app.deps.registry.find(this.#app.name, key)?.markListening(slot.generation, slot.index);
    this.#app.memory.keepSlot(slot);
    if (own) this.#app.memory.keepApp();
    this.#app.lookUp();
  }

  onClosed(slot: Slot, key: string): void {
    this.#app.deps.registry.find(this.#app.name, key)?.markClosed(slot.generation, slot.index);
    this.#app.memory.keepSlot(slot);
  }

  onState(slot: Slot, from: SlotState, event: string, reason: string): void {
    const app = this.#app;
    app.deps.events.announce({
      type: 'slot.changed',
      app: app.name,
      slot: slot.index,
      generation: slot.generation,
      from,
      to: slot.state,
      event,
      reason,
      pid: slot.worker?.pid ?? 0,
    });
    if (slot.state === 'draining') this.#retireIfExtra(slot);
    // A program without a preload took its sockets from LISTEN_FDS, and cannot say when it listens on them.
    if (slot.state === 'ready' && !this.hasPreload(slot))
      for (const listener of this.lending.configured()) listener.markListening(slot.generation, slot.index);
    // One that was left to us has been tried by whoever started it.
    if (slot.state === 'ready' && event !== 'adopted') this.trials.ready(slot);
    app.memory.keepSlot(slot);
    app.slotChanged(slot, reason);
  }

  onCrash(slot: Slot, reason: string): void {
    this.#leaveListeners(slot);
    this.#app.dispatch({ type: 'crash', of: slot.generation, reason: `worker ${slot.index} ${reason}` }, slot);
    // A crash that nobody answers with a restart leaves the slot for good.
    if (slot.state === 'exited') this.#app.slotGone(slot);
  }

  onGone(slot: Slot): void {
    this.#leaveListeners(slot);
    this.#retireIfExtra(slot);
    this.#app.slotGone(slot);
  }

  explain(end: WorkerEnd): WorkerEnd {
    return this.group.explain(end);
  }

  onExit(slot: Slot, end: WorkerEnd, expected: boolean): void {
    const app = this.#app;
    const worker = slot.worker!;
    const uptimeMs = Math.round(this.env.nowMs() - worker.startedMs);
    if (!expected) {
      app.lastExit = `worker ${slot.index} (generation ${slot.generation}, pid ${worker.pid}) ${describeEnd(end)} after ${uptimeMs} ms`;
      app.memory.keepApp();
    }
    app.deps.events.announce({
      type: 'worker.exited',
      app: app.name,
      slot: slot.index,
      generation: slot.generation,
      pid: worker.pid,
      ...end,
      uptimeMs,
      expected,
    });
    this.lending.checkSockets(slot);
  }

  saidReadyEarly(pid: number): boolean {
    return this.#app.deps.notices.takeEarly(pid);
  }

  onSaidReady(slot: Slot): void {
    this.#app.memory.keepSlot(slot);
  }

  onMessage(): void {
    // process.send of anything but 'ready': kept for the event bus.
  }

  onMisbehaved(slot: Slot, reason: string): void {
    this.#app.deps.events.announce({ type: 'worker.misbehaved', app: this.#app.name, slot: slot.index, reason });
  }

  heirOf(slot: Slot): WorkerHandle | null {
    const mayInherit = (heir: Slot): boolean =>
      heir !== slot && heir.state === 'ready' && heir.worker !== null && this.#stays(heir) && !this.trials.isOn(heir);
    const heirs = this.#app.current().filter(mayInherit);
    return heirs.length === 0 ? null : heirs[slot.index % heirs.length]!.worker;
  }

  /** Not one that the same scaling is about to drain. */
  #stays({ generation, index }: Slot): boolean {
    return index < (this.#app.generations.get(generation)?.size ?? 0);
  }

  mustStopAccepting(slot: Slot): boolean {
    return this.#app.plan.phase === 'stopping' || this.#app.isReplacing(slot);
  }

  get allEmptied(): Promise<void> {
    return this.#app.allEmptied;
  }

  onDeaf(): void {
    this.#app.closeWhenDeaf();
  }

  /** The policy's answer to a crash of a slot that the plan wants restarted. */
  restart(slot: Slot, reason: string): void {
    const app = this.#app;
    const nowMs = this.env.nowMs();
    const generationWasUp = app.plan.phase !== 'starting';
    const readyForMs = slot.readyAtMs === null ? null : nowMs - slot.readyAtMs;
    const decision = decideCrash({ reason, readyForMs, generationWasUp, nowMs, random: this.env.random() }, slot.history, app.config);
    slot.history = decision.history;
    if (decision.kind === 'giveUp') {
      slot.dispatch({ type: 'giveUp', reason: decision.reason });
      app.dispatch({ type: 'exhausted', of: slot.generation, reason: decision.reason }, slot);
      return;
    }
    app.degraded.crashed(this.trials.verdict(slot, reason) ?? decision.degraded);
    if (decision.spent !== null) app.dispatch({ type: 'spent', reason: decision.spent });
    slot.dispatch({ type: 'retry', delayMs: decision.delayMs, reason: `starts again in ${decision.delayMs} ms` });
  }

  async prepareFolders(): Promise<void> {
    const app = this.#app;
    await app.deps.logs.open(app.name, app.config.logs);
    const cache = this.#cacheFolder();
    if (cache !== null) mkdirSync(cache, { recursive: true, mode: 0o700 });
  }

  /** The app stopped: what its workers bound themselves is known anew at the next start. */
  reset(): void {
    this.ownAddresses.clear();
    this.left.forget();
    this.#app.degraded.reset();
  }

  /** Scaled down: a slot that leaves for good. Asked when its worker begins to leave, and again when it is gone, for it may have bound something since. */
  #retireIfExtra(slot: Slot): void {
    if (slot.index < this.#app.wanted) return;
    for (const listener of this.#app.deps.registry.of(this.#app.name)) void listener.retire(slot.index);
  }

  #leaveListeners(slot: Slot): void {
    for (const listener of this.listenersOf(slot)) listener.markClosed(slot.generation, slot.index);
  }

  /** Of compiled code; null where the workers could not reach it, for the state's folder is the supervisor's alone. */
  #cacheFolder(): string | null {
    const { config, deps, name, uid } = this.#app;
    return config.compileCache && uid === deps.env.uid ? join(deps.env.paths.state, 'compile-cache', name) : null;
  }
}
