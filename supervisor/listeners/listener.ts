/**
 * One listener of one app: who listens on it, and who gets the next connection.
 *
 * The live generation takes on one half of the sockets, a reload's candidate gets the other. The classic program picks among the *set*:
 * slots whose worker has called listen() here, on the live half, and is ready. While the set is empty the last program stays, so
 * connections wait where their worker's successor will find them; when none is due they are refused (DESIGN §3, three conditions).
 */
import type { Env } from '../env.ts';
import type { HeldGroup } from '../init/held.ts';
import type { InitClient } from '../init/init-client.ts';
import type { StateRecord } from '../init/state.ts';
import type { ListenerView } from '../protocol/operations.ts';
import type { ListenerCondition } from '../protocol/states.ts';
import { addressKey, DISPATCH_UNOPENED, type Address } from '../protocol/address.ts';
import { Attendance } from './attendance.ts';
import type { ListenerOwner } from './listener-owner.ts';
import { queuesEmptied } from './queue-look.ts';
import { Refusal } from './refusal.ts';
import { Sockets, type Half } from './sockets.ts';
import { StandIns, unheld, untaken, type Taker } from './stand-ins.ts';

export type { Half } from './sockets.ts';

export class Listener {
  readonly #env: Env;
  readonly #init: InitClient;
  readonly #owner: ListenerOwner;
  /** The address with its port, once it is known. */
  address: Address;
  /** For listen(0): which of the app's it is, counted by worker; null otherwise. */
  readonly ordinal: number | null;
  #sockets: Sockets | null = null;
  #condition: ListenerCondition = 'closed';
  /** One change of sockets at a time, in order. */
  #turn: Promise<unknown> = Promise.resolve();
  /** The half that takes. */
  #half: Half = 0;
  readonly #standIns: StandIns;
  readonly #attendance = new Attendance();
  /** What the kernel's program was last made from. */
  #attached = '';
  #steer: { port: number; index: number } | null = null;
  readonly #refusal: Refusal;

  constructor(env: Env, init: InitClient, owner: ListenerOwner, address: Address, ordinal: number | null) {
    this.#env = env;
    this.#init = init;
    this.#owner = owner;
    this.address = address;
    this.ordinal = ordinal;
    this.#refusal = new Refusal(env, owner.whenDown === 'refuse' ? 0 : owner.queueMs, (reason) => void this.refuse(reason));
    this.#standIns = new StandIns((taker, { slot, half }, fd) => {
      const t = fd === null ? 'standDown' : 'standIn';
      const notice = { t, listener: this.key, slot, half, backlog: this.#sockets?.backlog ?? 0 } as const;
      return owner.tellStandIn(taker, notice, fd === null ? [] : [fd]);
    });
  }

  get key(): string {
    return addressKey(this.address);
  }

  get condition(): ListenerCondition {
    return this.#condition;
  }

  get dispatch(): 'bpf' | 'hash' | 'shared' {
    return this.#sockets?.dispatch ?? DISPATCH_UNOPENED[this.address.kind];
  }

  /** A duplicate, the caller's, of the socket of a slot on a half: opens the listener, or grows it by that slot's pair. Throws InitError. */
  lend(slot: number, half: Half, backlog: number): Promise<number> {
    return this.#inTurn(async () => {
      if (this.#sockets?.isUnlinked === true) await this.#remake();
      this.#sockets ??= await this.#open(slot, half, backlog);
      this.#sockets.backlog = backlog;
      // Whoever asks is about to listen: the refusal that was due waits for the next look.
      this.#refusal.cancel();
      const fd = this.#env.native.duplicate(await this.#sockets.lend(slot, half));
      // Until its worker is ready.
      this.#standIn();
      return fd;
    });
  }

  /** The sockets that the supervisor before this one opened, and who listens on them: generation → slots. */
  adopt(group: HeldGroup, half: Half, listening: ReadonlyMap<number, ReadonlySet<number>>): void {
    this.#use(Sockets.adopt(this.#env, this.#init, group), half);
    for (const [generation, slots] of listening) for (const slot of slots) this.#attendance.add(generation, slot);
    this.#enter('open', 'adopted');
  }

  /** Its sockets, for a covet-init that has to be told. */
  records(): readonly StateRecord[] {
    return this.#sockets?.records() ?? [];
  }

  /** A duplicate, the caller's, of any other slot's socket; null where there is none. */
  lendOther(slot: number): number | null {
    const fd = this.#sockets?.otherThan(slot);
    return fd === undefined ? null : this.#env.native.duplicate(fd);
  }

  /** The worker's listen() returned. */
  markListening(generation: number, slot: number): void {
    this.#attendance.add(generation, slot);
    this.refresh();
  }

  markClosed(generation: number, slot: number): void {
    this.#attendance.remove(generation, slot);
    this.refresh();
  }

  listeners(generation: number): ReadonlySet<number> {
    return this.#attendance.of(generation);
  }

  forgetGeneration(generation: number): void {
    this.#attendance.forget(generation);
  }

  /** From now on the generation on this half takes. */
  flip(half: Half): void {
    this.#half = half;
    this.refresh();
  }

  /**
   * Whether the worker on that half must not take yet, and the kernel's choice does not see to it: both generations read one datagram
   * socket a slot. (Of a server's one socket they both accept: it would be no server if it did not.)
   */
  mustHold(half: Half): boolean {
    return this.address.kind === 'udp' && half !== this.#half;
  }

  /** Brings the kernel's choice in line with who takes now. At most one attach; none when nothing changed. */
  refresh(): void {
    if (this.#onHalf().length > 0) this.#refusal.cancel();
    else if (this.#condition === 'open') this.#refusal.await();
    this.#standIn();
    const indices = this.#eligible().flatMap((slot) => this.#sockets?.member(slot, this.#half)?.index ?? []);
    const wanted = JSON.stringify([indices, this.#steer]);
    if (wanted === this.#attached || indices.length === 0) return;
    if (this.#sockets?.attach(indices, this.#steer) === true) this.#attached = wanted;
  }

  /** Connections from loopback:`port` go to that very socket while `run` lasts. False when this host cannot steer. */
  async steered(slot: number, half: Half, port: number, run: () => Promise<void>): Promise<boolean> {
    const sockets = this.#sockets;
    const member = sockets?.member(slot, half);
    if (sockets === null || member === undefined || !sockets.canSteer) return false;
    this.#steer = { port, index: member.index };
    if (this.#eligible().length > 0) this.refresh();
    else sockets.attach([member.index], this.#steer);
    try {
      await run();
    } finally {
      this.#steer = null;
      this.#attached = '';
      this.refresh();
    }
    return true;
  }

  /** Connections waiting in a slot's queue on a half; null when the socket does not listen any more. */
  queued(slot: number, half: Half): number | null {
    const member = this.#sockets?.member(slot, half);
    if (member === undefined || this.address.kind !== 'tcp') return 0;
    const queue = this.#env.native.queueState(member.fd);
    return queue.listening ? queue.depth : null;
  }

  /** Whether this slot's one socket goes on to a successor, who reads it beside the worker that leaves, or after it. */
  isPassedOn(slot: number): boolean {
    return this.dispatch !== 'bpf' && (this.#sockets === null || this.#sockets.member(slot, this.#half) !== undefined);
  }

  /** A slot leaves for good. */
  retire(slot: number): Promise<void> {
    return this.#inTurn(async () => this.#sockets?.retire(slot)).catch((error: Error) => this.#owner.onTrouble(this, error));
  }

  /** After a worker shut its lent socket down: it listens again, and the program knows the new order. */
  revive(slot: number, half: Half): void {
    this.#sockets?.revive(slot, half);
    this.#attached = '';
    this.refresh();
  }

  /** No connection begins any more; resolves when the workers have accepted those that did, or so much later. */
  deafen(withinMs: number): Promise<void> {
    const depths = (): number[] => this.#onHalf().map(({ slot }) => this.queued(slot, this.#half) ?? 0);
    return this.#inTurn(async () => {
      if ((await this.#sockets?.deafen()) === true) await queuesEmptied(this.#env, this.#env.nowMs() + withinMs, depths);
    }).catch((error: Error) => this.#owner.onTrouble(this, error));
  }

  close(reason: string): Promise<void> {
    return this.#inTurn(async () => this.#shut('closed', reason));
  }

  /** Closes the sockets so that clients and balancers fail over; the next listen() of a worker opens them again. */
  refuse(reason: string): Promise<void> {
    return this.#inTurn(async () => (this.#onHalf().length > 0 ? undefined : this.#shut('refusing', reason)));
  }

  view(): ListenerView {
    const slots = this.#eligible();
    return {
      listener: this.key,
      condition: this.#condition,
      dispatch: this.dispatch,
      half: this.dispatch === 'bpf' ? (this.#half === 0 ? 'A' : 'B') : null,
      eligible: slots,
      queued: slots.map((slot) => this.queued(slot, this.#half) ?? 0),
      backlog: this.#sockets?.backlog ?? 0,
    };
  }

  async #open(slot: number, half: Half, backlog: number): Promise<Sockets> {
    const { app, uid, gid, useBpf } = this.#owner;
    const order = { app, address: this.address, ordinal: this.ordinal, slot, half, backlog, useBpf, uid, gid };
    const sockets = await Sockets.open(this.#env, this.#init, order);
    this.#use(sockets, half);
    this.#enter('open', 'listens');
    return sockets;
  }

  #use(sockets: Sockets, half: Half): void {
    sockets.watchProgram(() => this.#programGone());
    this.#sockets = sockets;
    this.address = sockets.address;
    this.#attached = '';
    this.#half = half;
  }

  /** The workers that have the old socket keep it, for what waits in its queue. */
  async #remake(): Promise<void> {
    const old = this.#sockets;
    this.#sockets = null;
    await old?.close();
  }

  #programGone(): void {
    this.#attached = '';
    this.refresh();
    this.#owner.onProgramGone(this);
  }

  async #shut(condition: 'refusing' | 'closed', reason: string): Promise<void> {
    this.#refusal.cancel();
    const sockets = this.#sockets;
    this.#sockets = null;
    this.#standIns.clear();
    this.#attendance.clear();
    // covet-init alone can refuse a close, and then it is gone and its sockets with it.
    await sockets?.close().catch((error: Error) => this.#owner.onTrouble(this, error));
    this.#enter(condition, reason);
  }

  /** The set: slots that take on the live half. In replace mode two generations share a half, never a slot. */
  #eligible(): number[] {
    const takers = this.#takers();
    const tried = takers.filter(({ generation, slot }) => !this.#owner.isOnTrial(generation, slot));
    return (tried.length > 0 ? tried : takers).map(({ slot }) => slot);
  }

  #takers(): Taker[] {
    return this.#onHalf().filter(({ generation, slot }) => this.#owner.isTaking(generation, slot));
  }

  #standIn(): void {
    if (this.#sockets === null || this.address.kind !== 'tcp' || this.dispatch === 'shared') return;
    const takers = this.#takers();
    const halves = [this.#sockets.ofHalf(0), this.#sockets.ofHalf(1)] as const;
    const isHeld = (slot: number, half: Half): boolean => this.#owner.isHeld(slot, half);
    this.#standIns.update(takers, this.dispatch === 'bpf' ? unheld(halves, isHeld) : untaken(halves[0], takers));
  }

  /** Who listens on the live half, ready or not yet. */
  #onHalf(): Taker[] {
    const isShared = this.dispatch !== 'bpf';
    return this.#attendance.where((generation) => isShared || this.#owner.halfOf(generation) === this.#half);
  }

  #enter(condition: ListenerCondition, reason: string): void {
    const from = this.#condition;
    if (from === condition) return;
    this.#condition = condition;
    this.#owner.onCondition(this, from, reason);
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(act, act);
    this.#turn = result.catch(() => {});
    return result;
  }
}
