/**
 * One listener of one app: its sockets in covet-init, who listens on them, and who gets the next connection.
 *
 * A slot has two sockets in the kernel's reuseport group, half 0 and half 1; the live generation takes on one, a reload's candidate gets
 * the other. The classic program picks among the *set*: slots of the live generation that have called listen() here and are ready. It is
 * attached through the guard, a member that is never lent. While the set is empty the last program stays, so connections wait where
 * their worker's successor will find them. Where the kernel refuses the program there is one socket a slot (`hash`); a Unix path is
 * one socket for all (`shared`). Sockets are never closed under traffic; indices are recorded as covet-init tells them (PITFALLS 1, 4).
 */
import type { Env, Timer } from '../env.ts';
import type { InitClient } from '../init/init-client.ts';
import type { ListenerView } from '../protocol/operations.ts';
import type { ListenerCondition } from '../protocol/states.ts';
import { addressKey, type Address } from './address.ts';

export type Half = 0 | 1;

interface Member {
  readonly fd: number;
  /** In the reuseport group; order of listen(). */
  readonly index: number;
}

/** A slot's sockets by half; one that both halves share where there is no program. */
type Pair = readonly [Member, Member];

interface Sockets {
  readonly group: string;
  readonly dispatch: 'bpf' | 'hash' | 'shared';
  /** A member of the group that is never lent: the program is attached through it. */
  guard: Member | null;
  readonly pairs: Map<number, Pair>;
  backlog: number;
}

export interface ListenerOwner {
  readonly app: string;
  /** Owner of a Unix socket's file. */
  readonly uid: number;
  readonly gid: number;
  readonly useBpf: boolean;
  readonly queueMs: number;
  readonly whenDown: 'queue' | 'refuse';
  /** The half a generation listens on; null when it is history. */
  halfOf(generation: number): Half | null;
  /** Whether that worker is ready and may get connections. */
  isTaking(generation: number, slot: number): boolean;
  onCondition(listener: Listener, from: ListenerCondition, reason: string): void;
}

let lastGroup = 0;

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
  /** generation → slots whose worker has called listen() here. */
  readonly #listening = new Map<number, Set<number>>();
  #attached = '';
  #steer: { port: number; index: number } | null = null;
  #refuseTimer: Timer | null = null;

  constructor(env: Env, init: InitClient, owner: ListenerOwner, address: Address, ordinal: number | null) {
    this.#env = env;
    this.#init = init;
    this.#owner = owner;
    this.address = address;
    this.ordinal = ordinal;
  }

  get key(): string {
    return addressKey(this.address);
  }

  get condition(): ListenerCondition {
    return this.#condition;
  }

  get dispatch(): 'bpf' | 'hash' | 'shared' {
    return this.#sockets?.dispatch ?? (this.address.kind === 'unix' ? 'shared' : 'bpf');
  }

  /** The socket of a slot on a half: opens the listener, or grows it by that slot's pair. Throws InitError. */
  lend(slot: number, half: Half, backlog: number): Promise<number> {
    return this.#inTurn(async () => {
      const sockets = this.#sockets ?? (await this.#open(slot, half, backlog));
      sockets.backlog = backlog;
      const pair = sockets.pairs.get(slot) ?? (await this.#append(sockets, slot, half));
      return pair[half].fd;
    });
  }

  /** The worker's listen() returned. Its own backlog stands, for listen(2) on a lent socket sets it. */
  markListening(generation: number, slot: number): void {
    const slots = this.#listening.get(generation) ?? new Set();
    this.#listening.set(generation, slots.add(slot));
    this.refresh();
  }

  markClosed(generation: number, slot: number): void {
    this.#listening.get(generation)?.delete(slot);
    this.refresh();
  }

  listeners(generation: number): ReadonlySet<number> {
    return this.#listening.get(generation) ?? new Set();
  }

  forgetGeneration(generation: number): void {
    this.#listening.delete(generation);
  }

  /** From now on the generation on this half takes. */
  flip(half: Half): void {
    this.#half = half;
    this.refresh();
  }

  /** Brings the kernel's choice in line with who takes now. At most one attach; none when nothing changed. */
  refresh(): void {
    const slots = this.#eligible();
    if (slots.length > 0) this.#expectTakers();
    else this.#expectNone();
    const sockets = this.#sockets;
    if (sockets === null || sockets.guard === null || slots.length === 0) return;
    const indices = slots.map((slot) => sockets.pairs.get(slot)?.[this.#half].index).filter((index) => index !== undefined);
    const wanted = JSON.stringify([indices, this.#steer]);
    if (wanted === this.#attached || indices.length === 0) return;
    this.#env.native.attachSelector(sockets.guard.fd, indices, this.#steer ?? undefined);
    this.#attached = wanted;
  }

  /** Connections from loopback:`port` go to that very socket while `run` lasts. False when this host cannot steer. */
  async steered(slot: number, half: Half, port: number, run: () => Promise<void>): Promise<boolean> {
    const member = this.#sockets?.pairs.get(slot)?.[half];
    const guard = this.#sockets?.guard ?? null;
    if (guard === null || member === undefined) return false;
    this.#steer = { port, index: member.index };
    if (this.#eligible().length > 0) this.refresh();
    else this.#env.native.attachSelector(guard.fd, [member.index], this.#steer);
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
    const member = this.#sockets?.pairs.get(slot)?.[half];
    if (member === undefined || this.#sockets?.dispatch === 'shared') return 0;
    const queue = this.#env.native.queueState(member.fd);
    return queue.listening ? queue.depth : null;
  }

  /** Puts a socket that its worker shut down back. Leaving the group moved the last member into its place, and it comes back as the last. */
  revive(slot: number, half: Half): void {
    const sockets = this.#sockets;
    const broken = sockets?.pairs.get(slot)?.[half];
    if (sockets === null || broken === undefined) return;
    this.#env.native.listenAgain(broken.fd, sockets.backlog);
    const last = Math.max(sockets.guard?.index ?? 0, ...[...sockets.pairs.values()].flatMap((pair) => pair.map((member) => member.index)));
    const moved = (member: Member): Member => (member.index === last ? { ...member, index: broken.index } : member);
    const renumber = (member: Member): Member => (member.fd === broken.fd ? { ...member, index: last } : moved(member));
    for (const [index, pair] of sockets.pairs) sockets.pairs.set(index, [renumber(pair[0]), renumber(pair[1])]);
    if (sockets.guard !== null) sockets.guard = renumber(sockets.guard);
    this.#attached = '';
    this.refresh();
  }

  close(reason: string): Promise<void> {
    return this.#inTurn(() => this.#shut('closed', reason));
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

  /** The set: slots that take on the live half. In replace mode two generations share a half, never a slot. */
  #eligible(): number[] {
    return this.#onHalf()
      .flatMap(([generation, slots]) => [...slots].filter((slot) => this.#owner.isTaking(generation, slot)))
      .sort((a, b) => a - b);
  }

  #onHalf(): [number, Set<number>][] {
    const shares = this.dispatch !== 'bpf';
    return [...this.#listening].filter(([generation]) => shares || this.#owner.halfOf(generation) === this.#half);
  }

  async #open(slot: number, half: Half, backlog: number): Promise<Sockets> {
    const group = `${this.#owner.app}-${++lastGroup}`;
    const { fields, fds } = await this.#init.request('listen', { group, slot: String(slot), backlog: String(backlog), ...this.#request() });
    // The first socket listens first and gets everything until the program is attached: it is the asking worker's.
    const first: Member = { fd: need(fds[0]), index: Number(fields['a'] ?? 0) };
    const second: Member | null = fds[1] === undefined ? null : { fd: fds[1], index: Number(fields['b']) };
    const sockets: Sockets = {
      group,
      dispatch: this.address.kind === 'unix' ? 'shared' : second === null ? 'hash' : 'bpf',
      guard: fds[2] === undefined ? null : { fd: fds[2], index: Number(fields['guard']) },
      pairs: new Map([[slot, pairOf(first, second, half)]]),
      backlog,
    };
    if (this.address.kind === 'tcp') {
      this.address = { ...this.address, host: fields['host'] ?? this.address.host, port: Number(fields['port']), dual: this.address.dual && fields['family'] !== 'tcp4' };
    }
    this.#sockets = sockets;
    this.#attached = '';
    this.#half = half;
    this.#enter('open', 'listens');
    return sockets;
  }

  #request(): Record<string, string> {
    const { address } = this;
    const halves = this.#owner.useBpf ? '2' : '1';
    if (address.kind === 'unix') return { family: 'unix', path: address.path, uid: String(this.#owner.uid), gid: String(this.#owner.gid), halves: '1' };
    return { family: address.host.includes(':') ? 'tcp6' : 'tcp4', host: address.host, port: String(address.port), dual: address.dual ? '1' : '0', halves };
  }

  async #append(sockets: Sockets, slot: number, half: Half): Promise<Pair> {
    if (sockets.dispatch === 'shared') {
      const pair = need([...sockets.pairs.values()][0]);
      sockets.pairs.set(slot, pair);
      return pair;
    }
    const { fields, fds } = await this.#init.request('append', { group: sockets.group, slot: String(slot) });
    const first: Member = { fd: need(fds[0]), index: Number(fields['a']) };
    const pair = pairOf(first, fds[1] === undefined ? null : { fd: fds[1], index: Number(fields['b']) }, half);
    sockets.pairs.set(slot, pair);
    return pair;
  }

  #expectTakers(): void {
    this.#refuseTimer?.cancel();
    this.#refuseTimer = null;
  }

  /** Nobody takes: connections wait, but not for ever (DESIGN §3, three conditions). */
  #expectNone(): void {
    if (this.#condition !== 'open' || this.#refuseTimer !== null || this.#hasWorker()) return;
    const waitMs = this.#owner.whenDown === 'refuse' ? 0 : this.#owner.queueMs;
    this.#refuseTimer = this.#env.after(waitMs, () => {
      this.#refuseTimer = null;
      void this.refuse(`no worker took a connection for ${waitMs} ms`);
    });
  }

  /** Closes the sockets so that clients and balancers fail over; the next listen() of a worker opens them again. */
  refuse(reason: string): Promise<void> {
    return this.#inTurn(() => (this.#hasWorker() ? Promise.resolve() : this.#shut('refusing', reason)));
  }

  /** Whether any worker listens on the live half, ready or not yet. */
  #hasWorker(): boolean {
    return this.#onHalf().some(([, slots]) => slots.size > 0);
  }

  async #shut(condition: 'refusing' | 'closed', reason: string): Promise<void> {
    this.#expectTakers();
    const sockets = this.#sockets;
    this.#sockets = null;
    this.#listening.clear();
    if (sockets !== null) {
      const fds = new Set([...sockets.pairs.values()].flatMap((pair) => pair.map((member) => member.fd)));
      if (sockets.guard !== null) fds.add(sockets.guard.fd);
      for (const fd of fds) this.#env.native.closeFd(fd);
      await this.#init.request('close', { group: sockets.group });
    }
    this.#enter(condition, reason);
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

function pairOf(first: Member, second: Member | null, half: Half): Pair {
  const other = second ?? first;
  return half === 0 ? [first, other] : [other, first];
}

function need<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('Expected covet-init to send a descriptor, got none');
  return value;
}
