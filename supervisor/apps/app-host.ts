/**
 * What an app's slots need of it (slots/slot.ts, SlotHost): hiring a worker, lending sockets, and where a slot's news goes.
 */
import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Env } from '../env.ts';
import { Listener } from '../listeners/listener.ts';
import { parseListen, type Address } from '../listeners/address.ts';
import type { AppConfig } from '../protocol/config.ts';
import { CovetError } from '../protocol/errors.ts';
import type { SlotState } from '../protocol/states.ts';
import type { LendReply, LendRequest } from '../protocol/worker-wire.ts';
import { sweepOrphans } from '../slots/orphans.ts';
import { decideCrash } from '../slots/restart-policy.ts';
import type { Slot, SlotHost } from '../slots/slot.ts';
import { describeEnd, type WorkerEnd } from '../slots/worker-end.ts';
import { WorkerHandle, type WorkerCallbacks } from '../slots/worker-handle.ts';
import type { App } from './app.ts';
import { modeOf, workerOrder } from './hiring.ts';
import { fingerprint } from './launch.ts';
import { lendTo } from './lending.ts';

export class AppHost implements SlotHost {
  readonly env: Env;
  /** Addresses that workers bound by themselves: such an app is reloaded one worker at a time. */
  readonly ownAddresses = new Set<string>();
  readonly #app: App;
  readonly #portZeros = new WeakMap<WorkerHandle, number>();
  #hired = 0;

  constructor(app: App) {
    this.#app = app;
    this.env = app.deps.env;
  }

  get config(): AppConfig {
    return this.#app.config;
  }

  hire(slot: Slot, callbacks: WorkerCallbacks): WorkerHandle {
    const app = this.#app;
    const { env, init, workers, logs } = app.deps;
    const generation = app.generations.get(slot.generation)!;
    const key = `w-${app.name}-${slot.generation}-${slot.index}-${++this.#hired}`;
    const worker = new WorkerHandle(env, init, key, callbacks);
    workers.add(worker);
    const mode = modeOf(app.config, generation.launch.isNode);
    const context = {
      config: app.config,
      generation,
      slot: slot.index,
      mode,
      lend: this.#lends(mode),
      cpus: app.pins.cpusOf(slot.index),
      cacheFolder: this.#cacheFolder(),
    };
    void this.#lentAtStart(slot, generation.launch.isNode)
      .then((lent) =>
        worker.start(
          logs.files(app.name),
          lent,
          (fds) => workerOrder(context, fds),
          (out, err) => logs.attach(app.name, out, err),
        ),
      )
      .catch((error: Error) => worker.failed(error.message));
    return worker;
  }

  lend(slot: Slot, request: LendRequest, reply: (reply: LendReply, fd?: number) => void): void {
    const app = this.#app;
    const lender = {
      registry: app.deps.registry,
      config: app.config,
      uid: this.#uid(),
      lends: this.#lends(app.mode === 'cluster' ? 'cluster' : 'fork'),
      ticketKeys: app.ticketKeys,
      makeListener: (address: Address, ordinal: number | null) => this.#makeListener(address, ordinal),
      countPortZero: (asking: Slot) => this.#countPortZero(asking),
      onRefused: (asking: Slot, reason: string) => app.deps.logs.say(app.name, `slot ${asking.index} was refused a listener: ${reason}`),
    };
    lendTo(lender, slot, request).then(
      (answer) => reply(answer.reply, answer.fd),
      (error: Error) => {
        app.deps.logs.say(app.name, `lending to slot ${slot.index} failed: ${error.message}`);
        reply({ ok: false, code: 'EIO', errno: -5, syscall: 'listen' });
      },
    );
  }

  hasPreload(slot: Slot): boolean {
    return this.#app.generations.get(slot.generation)?.launch.isNode === true;
  }

  listenersOf(slot: Slot): readonly Listener[] {
    return this.#app.deps.registry.of(this.#app.name).filter((listener) => listener.listeners(slot.generation).has(slot.index));
  }

  onListening(slot: Slot, key: string, own: boolean): void {
    if (own) this.ownAddresses.add(key);
    else this.#app.deps.registry.find(this.#app.name, key)?.markListening(slot.generation, slot.index);
    this.#app.lookUp();
  }

  onClosed(slot: Slot, key: string): void {
    this.#app.deps.registry.find(this.#app.name, key)?.markClosed(slot.generation, slot.index);
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
    app.slotChanged(slot);
  }

  onCrash(slot: Slot, reason: string): void {
    this.#leaveListeners(slot);
    this.#app.dispatch({ type: 'crash', of: slot.generation, reason: `worker ${slot.index} ${reason}` }, slot);
    // A crash that nobody answers with a restart leaves the slot for good.
    if (slot.state === 'exited') this.#app.slotGone(slot);
  }

  onGone(slot: Slot): void {
    this.#leaveListeners(slot);
    this.#app.slotGone(slot);
  }

  onExit(slot: Slot, end: WorkerEnd, expected: boolean): void {
    const app = this.#app;
    const worker = slot.worker!;
    const uptimeMs = Math.round(this.env.nowMs() - worker.startedMs);
    if (!expected)
      app.lastExit = `worker ${slot.index} (generation ${slot.generation}, pid ${worker.pid}) ${describeEnd(end)} after ${uptimeMs} ms`;
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
    this.checkSockets(slot);
  }

  onMessage(): void {
    // process.send of anything but 'ready': kept for the event bus.
  }

  onMisbehaved(slot: Slot, reason: string): void {
    this.#app.deps.events.announce({ type: 'worker.misbehaved', app: this.#app.name, slot: slot.index, reason });
  }

  heirOf(slot: Slot): WorkerHandle | null {
    const heirs = this.#app.current().filter((heir) => heir !== slot && heir.state === 'ready' && heir.worker !== null);
    return heirs.length === 0 ? null : heirs[slot.index % heirs.length]!.worker;
  }

  mustStopAccepting(slot: Slot): boolean {
    return this.#app.plan.phase === 'stopping' || this.#app.isReplacing(slot);
  }

  /** The policy's answer to a crash of a slot that the plan wants restarted. */
  restart(slot: Slot): void {
    const app = this.#app;
    const generation = app.generations.get(slot.generation)!;
    const reason = slot.worker === null ? 'it could not be started' : (app.lastExit ?? 'it ended');
    const nowMs = this.env.nowMs();
    const readyForMs = slot.readyAtMs === null ? null : nowMs - slot.readyAtMs;
    const decision = decideCrash(
      { reason, readyForMs, generationWasReady: generation.wasReady, nowMs, random: this.env.random() },
      slot.history,
      app.config.restart,
    );
    slot.history = decision.history;
    if (decision.kind === 'giveUp') {
      slot.dispatch({ type: 'giveUp', reason: decision.reason });
      app.dispatch({ type: 'exhausted', of: slot.generation, reason: decision.reason }, slot);
      return;
    }
    this.#sayDegraded(decision.degraded);
    const isChanged = generation.launch.fingerprint !== '' && fingerprint(generation.launch.scriptPath) !== generation.launch.fingerprint;
    const note = isChanged ? `; ${generation.launch.scriptPath} changed on disk since generation ${generation.number}` : '';
    slot.dispatch({ type: 'retry', delayMs: decision.delayMs, reason: `starts again in ${decision.delayMs} ms${note}` });
  }

  /** Processes that left their worker and its session, found by what they inherited. */
  async sweepOrphans(): Promise<void> {
    const app = this.#app;
    const count = await sweepOrphans(this.env, app.deps.init.pid, app.name, app.config.killTimeoutMs);
    if (count > 0) app.deps.events.announce({ type: 'orphans.swept', app: app.name, count });
  }

  /** Listeners of the config's `listen`. Throws COVET_ERR_APP_FAILED when an address is taken. */
  configured(): Listener[] {
    return this.config.listen.map(parseListen).flatMap((address) => {
      if (address === null) return []; // start refused it
      const listener = this.#app.deps.registry.acquire(this.#app.name, address, null, () => this.#makeListener(address, null));
      if (listener instanceof Listener) return [listener];
      throw new CovetError('COVET_ERR_APP_FAILED', { app: this.#app.name, reason: listener.reason });
    });
  }

  /** A lent socket that its worker shut down would take nobody's connection any more: it is put back. */
  checkSockets(slot: Slot): void {
    for (const listener of this.listenersOf(slot)) {
      if (listener.queued(slot.index, slot.half) !== null) continue;
      const reason = 'its worker shut the socket down';
      listener.revive(slot.index, slot.half);
      this.#app.deps.events.announce({ type: 'listener.rebuilt', app: this.#app.name, listener: listener.key, slot: slot.index, reason });
    }
  }

  async prepareFolders(): Promise<void> {
    const app = this.#app;
    await app.deps.logs.open(app.name, app.config.logs);
    if (!app.config.compileCache) return;
    const folder = join(this.#cacheFolder(), app.name);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (app.config.uid !== undefined && this.env.uid === 0) chownSync(folder, app.config.uid, app.config.gid ?? app.config.uid);
  }

  /** The app stopped: what its workers bound themselves is known anew at the next start. */
  reset(): void {
    this.ownAddresses.clear();
  }

  #leaveListeners(slot: Slot): void {
    for (const listener of this.listenersOf(slot)) listener.markClosed(slot.generation, slot.index);
  }

  #sayDegraded(reason: string | null): void {
    if (this.#app.isDegraded === (reason !== null)) return;
    this.#app.isDegraded = reason !== null;
    if (reason !== null) this.#app.deps.events.announce({ type: 'app.degraded', app: this.#app.name, reason });
  }

  /** Sockets of `listen:` for a program that is not Node: by LISTEN_FDS, from its first instant. */
  async #lentAtStart(slot: Slot, isNode: boolean): Promise<number[]> {
    if (isNode) return [];
    const lent: number[] = [];
    for (const listener of this.configured()) lent.push(await listener.lend(slot.index, slot.half, 511));
    return lent;
  }

  #makeListener(address: Address, ordinal: number | null): Listener {
    const app = this.#app;
    const owner = {
      app: app.name,
      uid: this.#uid(),
      gid: app.config.gid ?? this.#uid(),
      useBpf: app.config.reuseportBpf === 'auto',
      queueMs: app.config.queueMs,
      whenDown: app.config.whenDown,
      halfOf: (generation: number) => app.generations.get(generation)?.half ?? null,
      isTaking: (generation: number, slot: number) => app.generations.get(generation)?.slots.get(slot)?.state === 'ready',
      onCondition: (listener: Listener, from: Listener['condition'], reason: string) =>
        app.deps.events.announce({ type: 'listener.changed', app: app.name, listener: listener.key, from, to: listener.condition, reason }),
      onProgramGone: (listener: Listener) =>
        app.deps.events.announce({
          type: 'listener.rebuilt',
          app: app.name,
          listener: listener.key,
          slot: -1,
          reason: 'a worker detached its program',
        }),
      onTrouble: (listener: Listener, error: Error) => app.deps.logs.say(app.name, `closing ${listener.key} failed: ${error.message}`),
    };
    return new Listener(this.env, app.deps.init, owner, address, ordinal);
  }

  #countPortZero(slot: Slot): number {
    const count = this.#portZeros.get(slot.worker!) ?? 0;
    this.#portZeros.set(slot.worker!, count + 1);
    return count;
  }

  /** Several workers in fork mode bind addresses of their own, as PM2's do. */
  #lends(mode: 'cluster' | 'fork'): boolean {
    return mode === 'cluster' || this.#app.wanted === 1;
  }

  #uid(): number {
    return this.config.uid ?? this.env.uid;
  }

  #cacheFolder(): string {
    return join(this.env.paths.state, 'compile-cache');
  }
}
