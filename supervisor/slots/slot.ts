/**
 * The shell of slot-machine.ts: one seat of one generation, and the worker in it. Carries the machine's effects out, turns what
 * the worker does into the machine's events, and tells its generation what came of it. The only place that writes a slot's state.
 */
import { constants } from 'node:os';
import type { Timer } from '../env.ts';
import type { Half } from '../listeners/listener.ts';
import type { SlotState } from '../protocol/states.ts';
import type { SlotMemo } from '../state/memos.ts';
import type { DrainCounts, WorkerMessage } from '../protocol/worker-wire.ts';
import { drainWorker } from './drain.ts';
import { ProbeRounds } from './probe-rounds.ts';
import { NO_HISTORY, type CrashHistory } from './restart-policy.ts';
import type { SlotHost } from './slot-host.ts';
import { hasProcess, stepSlot, type SlotEffect, type SlotEvent } from './slot-machine.ts';
import { describeEnd, type WorkerEnd } from './worker-end.ts';
import type { WorkerCallbacks, WorkerHandle } from './worker-handle.ts';

/** States of a worker that had been ready. */
const SERVING: ReadonlySet<SlotState> = new Set(['ready', 'draining', 'stopping']);

export class Slot {
  readonly index: number;
  readonly generation: number;
  readonly half: Half;
  readonly #host: SlotHost;
  #state: SlotState = 'cold';
  #timer: Timer | null = null;
  #steadyTimer: Timer | null = null;
  #worker: WorkerHandle | null = null;
  /** Why the worker is being killed before it was ready. */
  #doom = '';
  #rounds: ProbeRounds | null = null;
  /** The app was ready before covet-init had told that it runs. */
  #saidReady = false;
  /** Addresses that its worker bound by itself and listens on. */
  readonly ownAddresses = new Set<string>();
  /** What the app handles, as its preload tells; a program without one is taken to handle SIGTERM. */
  #signals = { sigterm: true, sigint: false };
  #hasChannel = false;
  #drained: ((counts: DrainCounts | null) => void) | null = null;
  history: CrashHistory = NO_HISTORY;
  restarts = 0;
  readyAtMs: number | null = null;
  drainCounts: DrainCounts | null = null;
  /** Until its worker said that it drains: that does not accept, but for handshakes that crossed a flip. */
  isAccepting = true;
  wasKilled = false;

  constructor(host: SlotHost, generation: number, index: number, half: Half) {
    this.#host = host;
    this.generation = generation;
    this.index = index;
    this.half = half;
  }

  get state(): SlotState {
    return this.#state;
  }

  get worker(): WorkerHandle | null {
    return this.#worker;
  }

  get saidReady(): boolean {
    return this.#saidReady;
  }

  get hasProcess(): boolean {
    return hasProcess(this.#state);
  }

  dispatch(event: SlotEvent): void {
    const { config } = this.#host;
    const step = stepSlot(this.#state, event, config);
    if (step === null) return;
    const from = this.#state;
    this.#state = step.state;
    if (step.state === 'ready' && from !== 'ready') this.readyAtMs = this.#host.env.nowMs();
    const reason = this.#reason(event, step.reason);
    if (from !== step.state) this.#host.onState(this, from, event.type, reason);
    for (const effect of step.effects) this.#act(effect, reason);
  }

  #reason(event: SlotEvent, reason: string): string {
    const problem = this.#rounds?.problem ?? '';
    if (event.type === 'elapsed' && this.#state !== 'backoff') this.#doom = problem === '' ? reason : `${reason}: ${problem}`;
    return event.type === 'exited' && this.#doom !== '' ? this.#doom : reason;
  }

  #act(effect: SlotEffect, reason: string): void {
    const { env } = this.#host;
    switch (effect.type) {
      case 'spawn':
        return this.#spawn();
      case 'arm':
        this.#timer?.cancel();
        this.#timer = env.after(effect.ms, () => this.dispatch({ type: 'elapsed' }));
        return;
      case 'disarm':
        this.#timer?.cancel();
        this.#timer = null;
        return;
      case 'beginDrain':
        return void this.#drain();
      case 'signal':
        return this.#signal(effect.which);
      case 'crashed':
        return this.#host.onCrash(this, reason);
      case 'gone':
        return this.#host.onGone(this);
    }
  }

  /** Takes its seat as the supervisor before this one left it; `take` makes the handle of the worker in it, and is null when there is none. */
  adopt(memo: SlotMemo | null, take: ((callbacks: WorkerCallbacks) => WorkerHandle) | null): void {
    if (memo !== null) ({ history: this.history, restarts: this.restarts } = memo);
    if (take === null) return;
    const worker = (this.#worker = take(this.#callbacks()));
    const wasServing = memo !== null && memo.worker === worker.key && SERVING.has(memo.state);
    this.dispatch({ type: 'adopted', as: worker.pid === 0 ? 'spawning' : wasServing ? 'ready' : 'booting' });
    if (this.#state === 'ready') {
      this.readyAtMs = memo?.readyAtMs ?? this.readyAtMs;
      this.#hasChannel = this.#host.hasPreload(this);
    } else if (this.#state === 'booting') {
      if (!this.#host.hasPreload(this)) this.#countLife();
      if (memo?.worker === worker.key && memo.saidReady) this.#maybeReady();
    }
  }

  #spawn(): void {
    if (this.#worker !== null) this.restarts++;
    this.#doom = '';
    this.wasKilled = false;
    this.drainCounts = null;
    this.#saidReady = false;
    this.#rounds = null;
    this.ownAddresses.clear();
    this.#hasChannel = false;
    this.#signals = { sigterm: true, sigint: false };
    this.readyAtMs = null;
    this.#worker = this.#host.hire(this, this.#callbacks());
  }

  #callbacks(): WorkerCallbacks {
    return {
      onRunning: () => this.#running(),
      onFailed: (failure) => this.#ended(() => this.dispatch({ type: 'spawnFailed', reason: failure })),
      onExited: (end) => this.#ended(() => this.#exited(end)),
      onMessage: (message) => this.#heard(message),
      onLend: (request, reply) => this.#host.lend(this, request, reply),
      onMisbehaved: (problem) => {
        this.#host.onMisbehaved(this, problem);
        this.#doom = problem;
        this.#signal('kill');
      },
    };
  }

  #running(): void {
    this.dispatch({ type: 'running' });
    if (!this.#host.hasPreload(this)) this.#countLife();
    const bySignal = this.#host.config.readiness === 'signal' && this.#host.saidReadyEarly(this.#worker?.pid ?? 0);
    if (this.#saidReady || bySignal) this.#maybeReady();
  }

  /** From when its entry has been evaluated, or where there is no preload to tell that, from its first instruction: until then even a bad build lives. */
  #countLife(): void {
    const { env, config } = this.#host;
    if (config.readiness !== 'auto' || this.#host.mustListen(this)) return;
    const bornMs = env.nowMs();
    this.#steadyTimer?.cancel();
    this.#steadyTimer = env.after(config.minHealthyMs, () => {
      if (this.#state !== 'booting') return;
      this.#maybeReady();
      // Having lived that long is what made it ready, so it need not live as long again to be steady.
      if (this.readyAtMs !== null) this.readyAtMs = bornMs;
    });
  }

  #ended(tell: () => void): void {
    this.#steadyTimer?.cancel();
    this.#drained?.(null);
    tell();
  }

  #exited(told: WorkerEnd): void {
    const end = this.wasKilled ? told : this.#host.explain(told);
    const expected = this.#state === 'stopping' || this.#state === 'draining';
    this.#host.onExit(this, end, expected);
    this.dispatch({ type: 'exited', reason: describeEnd(end) });
  }

  #heard(message: WorkerMessage): void {
    switch (message.t) {
      case 'hello':
        this.#hasChannel = true;
        // To a supervisor that did not start it a worker tells everything; what it does not listen on any more it closed meanwhile.
        for (const { key } of this.#host.listenersOf(this)) if (!message.listeners.includes(key)) this.#host.onClosed(this, key);
        if (message.ready && this.#host.config.readiness === 'signal') this.#maybeReady();
        return;
      case 'listening':
        if (message.own === true) this.ownAddresses.add(message.listener);
        this.#host.onListening(this, message.listener, message.own === true);
        if (this.#host.config.readiness !== 'signal' || this.#saidReady) this.#maybeReady();
        return;
      case 'closed':
        this.ownAddresses.delete(message.listener);
        return this.#host.onClosed(this, message.listener);
      case 'loaded':
        return this.#countLife();
      case 'ready':
        if (this.#host.config.readiness !== 'signal') return;
        this.#maybeReady();
        return this.#host.onSaidReady(this);
      case 'message':
        return this.#host.onMessage(this, message.data);
      case 'signals':
        this.#signals = { sigterm: message.sigterm, sigint: message.sigint };
        return;
      case 'draining':
        if (this.#state !== 'draining' || !this.isAccepting) return;
        this.isAccepting = false;
        return this.#host.onDeaf(this);
      case 'drained':
        this.#drained?.(message.counts);
        return;
    }
  }

  /** The app says it is ready; with a probe, that very worker must also answer. */
  #maybeReady(): void {
    this.#saidReady = true;
    const { env, aim, config } = this.#host;
    const worker = this.#worker;
    if (this.#state !== 'booting' || worker === null) return;
    if (config.probe === undefined || !aim.isPossible(this)) return this.dispatch({ type: 'ready' });
    this.#rounds ??= new ProbeRounds({
      probed: { env, worker, slot: this.index, half: this.half },
      probe: config.probe,
      target: () => aim.targetOf(this),
      isWanted: () => this.#state === 'booting' && this.#worker === worker,
      onPassed: () => this.dispatch({ type: 'ready' }),
    });
    this.#rounds.begin();
  }

  async #drain(): Promise<void> {
    const worker = this.#worker;
    if (worker === null) return;
    const { env, config } = this.#host;
    const drained = new Promise<DrainCounts | null>((resolve) => (this.#drained = resolve));
    this.drainCounts = await drainWorker({
      env,
      config,
      worker,
      hasChannel: this.#hasChannel,
      listeners: this.#host.listenersOf(this),
      slot: this.index,
      half: this.half,
      heir: config.handOver && !env.faults.has('no-hand-over') ? this.#host.heirOf(this) : null,
      mustStopAccepting: this.#host.mustStopAccepting(this),
      left: this.#host.left,
      allEmptied: this.#host.allEmptied,
      drained,
    });
    this.#drained = null;
    if (this.#worker === worker) this.dispatch({ type: 'drained' });
  }

  #signal(which: 'stop' | 'kill'): void {
    if (this.#worker === null) return;
    if (which === 'kill') {
      this.wasKilled = true;
      this.#worker.signal(constants.signals.SIGKILL);
      return;
    }
    const wanted = this.#host.config.stopSignal;
    const name = wanted === 'SIGTERM' && this.#signals.sigint && !this.#signals.sigterm ? 'SIGINT' : wanted;
    this.#worker.signal(constants.signals[name]);
    // A stopped process takes the signal only once it runs again.
    this.#worker.signal(constants.signals.SIGCONT);
  }
}
