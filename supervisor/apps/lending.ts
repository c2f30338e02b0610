/**
 * A worker's listen(), answered: judged as its user, looked up in the registry, lent from its slot's half. Every refusal reaches the app
 * as Node's own error. Also what an app's listeners need to know of it.
 */
import { InitError } from '../init/init-client.ts';
import type { HeldGroup } from '../init/held.ts';
import { addressKey, askedAddress, parseListen, type Address } from '../protocol/address.ts';
import { readGroup } from '../listeners/sockets.ts';
import { Listener, type Half } from '../listeners/listener.ts';
import { judge, type Refusal } from '../listeners/registry.ts';
import type { Taker } from '../listeners/stand-ins.ts';
import { CovetError } from '../protocol/errors.ts';
import type { SlotState } from '../protocol/states.ts';
import type { LendReply, LendRequest, StandInNotice } from '../protocol/worker-wire.ts';
import type { Slot } from '../slots/slot.ts';
import type { WorkerHandle } from '../slots/worker-handle.ts';
import type { App } from './app.ts';
import { modeOf } from './hiring.ts';

/** Node's own, until the app says another. */
const DEFAULT_BACKLOG = 511;

export class Lending {
  readonly #app: App;
  /** How many listen(0) and bind(0) each worker has asked for. */
  readonly #portZeros = new WeakMap<WorkerHandle, Record<'tcp' | 'udp', number>>();
  /** Why the last listen() that was refused was. */
  lastRefusal: string | null = null;

  constructor(app: App) {
    this.#app = app;
  }

  /** Several workers in fork mode bind addresses of their own, as PM2's do. */
  lends(mode: 'cluster' | 'fork'): boolean {
    return mode === 'cluster' || this.#app.wanted === 1;
  }

  /** Answers once, whatever happens. */
  async answer(slot: Slot, request: LendRequest, reply: (reply: LendReply, fd?: number) => void): Promise<void> {
    try {
      const { reply: answer, fd } = await this.#lend(slot, request);
      reply(answer, fd);
      if (fd !== undefined) this.#app.deps.env.native.closeFd(fd);
    } catch (error) {
      this.#app.deps.logs.say(this.#app.name, `lending to slot ${slot.index} failed: ${(error as Error).message}`);
      reply({ ok: false, code: 'EIO', errno: -5, syscall: 'listen' });
    }
  }

  /** Listeners of the config's `listen`. Throws COVET_ERR_APP_FAILED when an address is taken. */
  configured(): Listener[] {
    return this.#listed().map((address) => {
      const listener = this.#acquire(address, null);
      if (listener instanceof Listener) return listener;
      throw new CovetError('COVET_ERR_APP_FAILED', { app: this.#app.name, reason: listener.reason });
    });
  }

  /** Before the first worker: connections wait from now on. Throws COVET_ERR_APP_FAILED. */
  async openConfigured(half: Half): Promise<void> {
    for (const listener of this.configured()) this.#app.deps.env.native.closeFd(await this.#open(listener, 0, half));
  }

  /** Sockets of `listen` for a program that is not Node: by LISTEN_FDS, from its first instant. The caller closes them. */
  async lendConfigured(slot: Slot): Promise<number[]> {
    const lent: number[] = [];
    for (const listener of this.configured()) lent.push(await this.#open(listener, slot.index, slot.half));
    return lent;
  }

  /** The sockets of a listener that the supervisor before this one opened; `listening`: listener key → generation → slots. */
  adopt(group: HeldGroup, listening: ReadonlyMap<string, ReadonlyMap<number, ReadonlySet<number>>>): void {
    const { name, live, deps } = this.#app;
    const { address, ordinal } = readGroup(group);
    const listener = this.#makeListener(address, ordinal);
    listener.adopt(group, live?.half ?? 0, listening.get(addressKey(address)) ?? new Map());
    deps.registry.adopt(name, listener);
  }

  /** A lent socket that its worker shut down would take nobody's connection any more: it is put back. */
  checkSockets(slot: Slot): void {
    for (const listener of this.#app.host.listenersOf(slot)) {
      if (listener.queued(slot.index, slot.half) !== null) continue;
      const reason = 'its worker shut the socket down';
      try {
        listener.revive(slot.index, slot.half);
      } catch (error) {
        // Only a worker that meant it brings a socket into a state in which it cannot listen: it has hurt its own slot.
        this.#app.host.onMisbehaved(slot, `made its lent socket useless: ${(error as Error).message}`);
        continue;
      }
      this.#app.deps.events.announce({ type: 'listener.rebuilt', app: this.#app.name, listener: listener.key, slot: slot.index, reason });
    }
  }

  async #open(listener: Listener, slot: number, half: Half): Promise<number> {
    try {
      return await listener.lend(slot, half, DEFAULT_BACKLOG);
    } catch (error) {
      if (!(error instanceof InitError)) throw error;
      throw new CovetError(
        'COVET_ERR_APP_FAILED',
        { app: this.#app.name, reason: `${listener.key} cannot be opened: ${error.code}.` },
        { cause: error },
      );
    }
  }

  async #lend(slot: Slot, request: LendRequest): Promise<{ reply: LendReply; fd?: number }> {
    const app = this.#app;
    const address = askedAddress(request);
    if (app.isEnding) return { reply: { ok: false, code: 'ESHUTDOWN', errno: -108, syscall: 'listen' } };
    const isNode = app.generations.get(slot.generation)?.launch.isNode ?? true;
    if (address === null || !this.lends(modeOf(app.config, isNode))) return { reply: { ok: 'self' } };
    if (request.datagram?.answersOnly === true) return this.#lendOther(slot, addressKey(address));
    const refusal = judge(address, app.uid, this.#listed());
    if (refusal !== null) return this.#refuse(slot, refusal);
    const listener = this.#acquire(address, address.kind !== 'unix' && address.port === 0 ? this.#countPortZero(slot, address.kind) : null);
    if (!(listener instanceof Listener)) {
      // Whoever sets SO_REUSEADDR on a datagram socket (multicast) means to share the address, with another app too.
      return address.kind === 'udp' && address.reuse ? { reply: { ok: 'self' } } : this.#refuse(slot, listener);
    }
    try {
      const fd = await listener.lend(slot.index, slot.half, request.backlog);
      const held = listener.mustHold(slot.half);
      return { reply: { ok: true, listener: listener.key, ticketKeys: app.ticketKeys, held }, fd };
    } catch (error) {
      if (!(error instanceof InitError)) throw error;
      if (listener.condition === 'closed') app.deps.registry.release(app.name, listener);
      const { code, errno } = error;
      return this.#refuse(slot, {
        code,
        errno,
        syscall: error.syscall === 'listen' ? 'listen' : 'bind',
        reason: `${listener.key}: ${code}`,
      });
    }
  }

  /** A worker that has left its slot's datagram socket for good answers through another's: it looks the same to the client. */
  #lendOther(slot: Slot, key: string): { reply: LendReply; fd?: number } {
    const fd = this.#app.deps.registry.find(this.#app.name, key)?.lendOther(slot.index) ?? null;
    return fd === null ? { reply: { ok: 'self' } } : { reply: { ok: true, listener: key, ticketKeys: '' }, fd };
  }

  #refuse(slot: Slot, { code, errno, syscall, reason }: Refusal): { reply: LendReply } {
    this.lastRefusal = reason;
    this.#app.deps.logs.say(this.#app.name, `slot ${slot.index} was refused a listener: ${reason}`);
    return { reply: { ok: false, code, errno, syscall } };
  }

  /** `start` has refused what is no address. */
  #listed(): Address[] {
    return this.#app.config.listen.map(parseListen).filter((address) => address !== null);
  }

  #countPortZero(slot: Slot, kind: 'tcp' | 'udp'): number {
    const before = (of: 'tcp' | 'udp'): number =>
      this.#app.host.listenersOf(slot).filter(({ ordinal, address }) => ordinal !== null && address.kind === of).length;
    // A worker of the supervisor before this one has asked already.
    const counts = this.#portZeros.get(slot.worker!) ?? { tcp: before('tcp'), udp: before('udp') };
    this.#portZeros.set(slot.worker!, counts);
    return counts[kind]++;
  }

  /** An app that ends needs none; a program that is not Node hears nothing. */
  #tellStandIn({ generation, slot: index }: Taker, notice: StandInNotice, fds: readonly number[]): boolean {
    const app = this.#app;
    const slot = app.generations.get(generation)?.slots.get(index);
    if (app.isEnding || app.deps.env.faults.has('no-stand-in') || slot === undefined || !app.host.hasPreload(slot)) return false;
    return slot.worker?.sendPeer(notice, ...fds) ?? false;
  }

  #acquire(address: Address, ordinal: number | null): Listener | Refusal {
    return this.#app.deps.registry.acquire(this.#app.name, address, ordinal, () => this.#makeListener(address, ordinal));
  }

  #makeListener(address: Address, ordinal: number | null): Listener {
    const app = this.#app;
    const { events, env, init, logs } = app.deps;
    const { config, uid } = app;
    const owner = {
      app: app.name,
      uid,
      gid: config.gid ?? uid,
      useBpf: config.reuseportBpf === 'auto',
      queueMs: config.queueMs,
      whenDown: config.whenDown,
      halfOf: (generation: number) => app.generations.get(generation)?.half ?? null,
      isTaking: (generation: number, slot: number) => app.generations.get(generation)?.slots.get(slot)?.state === 'ready',
      tellStandIn: (taker: Taker, notice: StandInNotice, fds: readonly number[]) => this.#tellStandIn(taker, notice, fds),
      isHeld: (slot: number, half: Half) =>
        [...app.generations.values()].some((each) => each.half === half && isHolding(each.slots.get(slot)?.state)),
      isOnTrial: (generation: number, slot: number) => app.host.trials.isOn(app.generations.get(generation)?.slots.get(slot)),
      onCondition: (listener: Listener, from: Listener['condition'], reason: string) =>
        events.announce({ type: 'listener.changed', app: app.name, listener: listener.key, from, to: listener.condition, reason }),
      onProgramGone: (listener: Listener) =>
        events.announce({
          type: 'listener.rebuilt',
          app: app.name,
          listener: listener.key,
          slot: -1,
          reason: 'a worker detached its program',
        }),
      onTrouble: (listener: Listener, error: Error) => logs.say(app.name, `closing ${listener.key}: ${error.message}`),
    };
    return new Listener(env, init, owner, address, ordinal);
  }
}

/** It has a worker, or is to have one. */
function isHolding(state: SlotState | undefined): boolean {
  return state !== undefined && state !== 'exited' && state !== 'failed';
}
