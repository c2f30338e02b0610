/**
 * One listener's sockets in covet-init, by slot and half, with their indices in the kernel's reuseport group. Opened by the first slot
 * that asks and grown by a pair for each further one; a pair is never taken out, for that would renumber the others (PITFALLS 4). UDP
 * sockets are chosen by the kernel's hash, which needs no numbers: there a slot that leaves for good takes its socket with it.
 */
import { statSync } from 'node:fs';
import type { Env } from '../env.ts';
import type { HeldGroup } from '../init/held.ts';
import type { InitClient } from '../init/init-client.ts';
import { groupKey, readGroupKey } from '../init/keys.ts';
import type { StateRecord } from '../init/state.ts';
import type { Address } from '../protocol/address.ts';
import { Guard } from './guard.ts';
import { plugGuard } from './plug.ts';

export type Half = 0 | 1;

export interface Member {
  readonly fd: number;
  /** In the reuseport group: order of listen(). */
  readonly index: number;
}

/** A slot's sockets by half; one that both halves share where there is no program. */
type Pair = readonly [Member, Member];

export interface SocketsOrder {
  readonly app: string;
  readonly address: Address;
  /** For listen(0): which of the app's it is. */
  readonly ordinal: number | null;
  readonly slot: number;
  readonly half: Half;
  readonly backlog: number;
  readonly useBpf: boolean;
  /** Owner of a Unix socket's file. */
  readonly uid: number;
  readonly gid: number;
}

interface SocketsFacts {
  readonly group: string;
  readonly backlog: number;
  readonly address: Address;
  readonly dispatch: Sockets['dispatch'];
  /** As covet-init tells the group. */
  readonly fields: Readonly<Record<string, string>>;
}

/** Groups of one supervisor are numbered, so that a listener that opens again never meets its old name. */
let lastGroup = 0;

export class Sockets {
  readonly #env: Env;
  readonly #init: InitClient;
  readonly #group: string;
  readonly #pairs = new Map<number, Pair>();
  #guard: Member | null = null;
  #watch: Guard | null = null;
  /** What the program last picked among. */
  #chosen: readonly number[] = [];
  /** The guard's one place is taken: connections may not begin. */
  #isPlugged = false;
  /** With the port that port 0 became, and the family that this host has. */
  readonly address: Address;
  readonly dispatch: 'bpf' | 'hash' | 'shared';
  backlog: number;
  /** Of a Unix socket's file, when it was made. */
  readonly #inode: number | null;
  readonly #fields: Readonly<Record<string, string>>;

  /** Throws InitError: EADDRINUSE, EACCES and whatever else bind(2) and listen(2) say. */
  static async open(env: Env, init: InitClient, order: SocketsOrder): Promise<Sockets> {
    const { slot, half, backlog, ordinal } = order;
    const group = groupKey({ app: order.app, count: ++lastGroup });
    const request = { group, slot: String(slot), half: String(half), backlog: String(backlog), note: JSON.stringify({ ordinal }) };
    const asked = { ...request, ...addressFields(order) };
    const { fields, fds } = await init.request('listen', asked);
    const address = addressOf(order.address, fields);
    const dispatch = isShared(address, fields) ? 'shared' : fds[1] === undefined ? 'hash' : 'bpf';
    const sockets = new Sockets(env, init, { group, backlog, address, dispatch, fields: { ...asked, ...fields } });
    // A member of the group that is never lent: the program is attached through it.
    if (fds[2] !== undefined) sockets.#guard = { fd: fds[2], index: Number(fields['guard']) };
    sockets.#put(slot, half, fields, fds);
    return sockets;
  }

  /** Those that the supervisor before this one opened; owns their descriptors from now on. */
  static adopt(env: Env, init: InitClient, held: HeldGroup): Sockets {
    lastGroup = Math.max(lastGroup, readGroupKey(held.key)?.count ?? 0);
    const { address } = readGroup(held);
    const dispatch = isShared(address, held.fields) ? 'shared' : held.fields['halves'] === '2' ? 'bpf' : 'hash';
    const sockets = new Sockets(env, init, {
      group: held.key,
      backlog: Number(held.fields['backlog']),
      address,
      dispatch,
      fields: held.fields,
    });
    for (const { slot } of held.members) {
      const [a, b] = [0, 1].map((half) => held.members.find((member) => member.slot === slot && member.half === half));
      const [first, second] = [a ?? b, b ?? a];
      if (first !== undefined && second !== undefined) sockets.#pairs.set(slot, [first, second]);
    }
    sockets.#guard = held.members.find((member) => member.half === -1) ?? null;
    return sockets;
  }

  private constructor(env: Env, init: InitClient, facts: SocketsFacts) {
    this.#env = env;
    this.#init = init;
    this.#group = facts.group;
    this.backlog = facts.backlog;
    this.address = facts.address;
    this.dispatch = facts.dispatch;
    this.#inode = inodeOf(this.address);
    this.#fields = facts.fields;
  }

  /** An app that unlinks its path before it listens took the socket out of the file system: nobody can connect to it any more. */
  get isUnlinked(): boolean {
    return this.#inode !== null && inodeOf(this.address) !== this.#inode;
  }

  /** The socket of a slot, made when it is its first. */
  async lend(slot: number, half: Half): Promise<number> {
    if (!this.#pairs.has(slot)) await this.#append(slot, half);
    return need(this.member(slot, half)).fd;
  }

  /** A socket of any slot but this one. */
  otherThan(slot: number): number | undefined {
    return [...this.#pairs].find(([other]) => other !== slot)?.[1][0].fd;
  }

  member(slot: number, half: Half): Member | undefined {
    return this.#pairs.get(slot)?.[half];
  }

  /** Slot → its socket on a half. */
  ofHalf(half: Half): Map<number, number> {
    return new Map([...this.#pairs].map(([slot, pair]) => [slot, pair[half].fd]));
  }

  /** The slot leaves for good: nobody here keeps its socket, which is out of the group as soon as its worker closes it too. */
  async retire(slot: number): Promise<void> {
    const pair = this.#pairs.get(slot);
    if (this.address.kind !== 'udp' || pair === undefined) return;
    this.#pairs.delete(slot);
    this.#env.native.closeFd(pair[0].fd);
    await this.#init.request('drop', { group: this.#group, slot: String(slot) });
  }

  /** Connections that no steering claims go to one of `indices`. False where the kernel hashes. */
  attach(indices: readonly number[], steer: { port: number; index: number } | null): boolean {
    if (this.#guard === null) return false;
    if (this.#isPlugged) return true;
    this.#env.native.attachSelector(this.#guard.fd, indices, steer ?? undefined);
    this.#chosen = indices;
    return true;
  }

  /** No connection begins from now on, until all is closed; what shakes hands already goes on. False where the kernel hashes. */
  async deafen(): Promise<boolean> {
    if (this.#isPlugged) return true;
    if (this.#guard === null || this.#chosen.length === 0 || this.address.kind !== 'tcp') return false;
    const { fd, index } = this.#guard;
    this.#watch?.close();
    await plugGuard(this.#env, fd, this.address, (port) => this.attach(this.#chosen, { port, index }));
    this.attach([index], null);
    this.#isPlugged = true;
    return true;
  }

  /** Tells when the program is gone. */
  watchProgram(onGone: () => void): void {
    if (this.#guard !== null) this.#watch = new Guard(this.#env.native.duplicate(this.#guard.fd), onGone);
  }

  get canSteer(): boolean {
    return this.#guard !== null;
  }

  /** Puts a socket that its worker shut down back. Leaving the group moved the last member into its place, and it comes back as the last. */
  revive(slot: number, half: Half): void {
    const broken = this.member(slot, half);
    if (broken === undefined) return;
    this.#env.native.listenAgain(broken.fd, this.backlog);
    const last = Math.max(this.#guard?.index ?? 0, ...[...this.#pairs.values()].flat().map((member) => member.index));
    const renumber = (member: Member): Member => {
      if (member.fd === broken.fd) return { ...member, index: last };
      return member.index === last ? { ...member, index: broken.index } : member;
    };
    for (const [index, [a, b]] of this.#pairs) this.#pairs.set(index, [renumber(a), renumber(b)]);
    if (this.#guard !== null) this.#guard = renumber(this.#guard);
    this.#init.request('moved', { group: this.#group, index: String(broken.index) }).catch(() => {}); // gone with covet-init itself
  }

  /** Lets go of them all, here and in covet-init; a worker's own duplicate lives as long as the worker holds it. */
  async close(): Promise<void> {
    const fds = new Set([...this.#pairs.values()].flat().map((member) => member.fd));
    if (this.#guard !== null) fds.add(this.#guard.fd);
    this.#watch?.close();
    for (const fd of fds) this.#env.native.closeFd(fd);
    await this.#init.request('close', { group: this.#group });
  }

  /** The group and its members in the order of their indices, for a covet-init that has to be told. */
  records(): StateRecord[] {
    const { address } = this;
    const group = {
      ...this.#fields,
      key: this.#group,
      port: String(address.kind === 'unix' ? 0 : address.port),
      dual: this.#fields['dual'] ?? '0',
    };
    const file = address.kind === 'unix' ? fileOf(address.path) : {};
    const members = [...this.#pairs].flatMap(([slot, pair]) => pair.map((member, half) => ({ ...member, slot, half })));
    if (this.#guard !== null) members.push({ ...this.#guard, slot: -1, half: -1 });
    // What both halves, or all slots, share is one member.
    const byIndex = new Map(members.toReversed().map((member) => [member.index, member]));
    return [
      { verb: 'group', fields: { ...group, ...file }, fds: [] },
      ...[...byIndex.values()]
        .sort((a, b) => a.index - b.index)
        .map(({ slot, half, index, fd }) => ({
          verb: 'member',
          fields: { group: this.#group, slot: String(slot), half: String(half), index: String(index) },
          fds: [fd],
        })),
    ];
  }

  async #append(slot: number, half: Half): Promise<void> {
    const shared = [...this.#pairs.values()][0];
    if (this.dispatch === 'shared' && shared !== undefined) {
      this.#pairs.set(slot, shared);
      return;
    }
    const { fields, fds } = await this.#init.request('append', { group: this.#group, slot: String(slot), half: String(half) });
    this.#put(slot, half, fields, fds);
  }

  /** The first socket of a pair listens first, and gets everything until the program is attached: it is the asking half's. */
  #put(slot: number, half: Half, fields: Readonly<Record<string, string>>, fds: readonly number[]): void {
    const first: Member = { fd: need(fds[0]), index: Number(fields['a'] ?? 0) };
    const second: Member = fds[1] === undefined ? first : { fd: fds[1], index: Number(fields['b']) };
    this.#pairs.set(slot, half === 0 ? [first, second] : [second, first]);
  }
}

/** What a group of covet-init was opened for. */
export function readGroup({ fields, note }: HeldGroup): { readonly address: Address; readonly ordinal: number | null } {
  const { ordinal = null } = JSON.parse(note) as { ordinal?: number | null };
  if (fields['family'] === 'unix') return { address: { kind: 'unix', path: fields['path'] ?? '' }, ordinal };
  const where = {
    host: fields['host'] ?? '',
    port: Number(fields['port']),
    dual: fields['dual'] === '1' && fields['family']?.endsWith('6') === true,
  };
  if (fields['family']?.startsWith('udp') === true) return { address: { kind: 'udp', ...where, reuse: fields['reuse'] === '1' }, ordinal };
  return { address: { kind: 'tcp', ...where }, ordinal };
}

function addressFields({ address, useBpf, uid, gid }: SocketsOrder): Record<string, string> {
  if (address.kind === 'unix') return { family: 'unix', path: address.path, uid: String(uid), gid: String(gid), halves: '1' };
  const family = `${address.kind}${address.host.includes(':') ? '6' : '4'}`;
  const where = { family, host: address.host, port: String(address.port), dual: address.dual ? '1' : '0' };
  if (address.kind === 'udp') return { ...where, halves: '1', reuse: address.reuse ? '1' : '0' };
  return { ...where, halves: useBpf ? '2' : '1' };
}

function addressOf(asked: Address, fields: Readonly<Record<string, string>>): Address {
  if (asked.kind === 'unix') return asked;
  return { ...asked, host: fields['host'] ?? asked.host, port: Number(fields['port']), dual: asked.dual && fields['family'] !== 'tcp4' };
}

/** One socket for all: of a path, or opened by a service manager. */
function isShared(address: Address, fields: Readonly<Record<string, string>>): boolean {
  return address.kind === 'unix' || fields['shared'] === '1';
}

/** What says that the file at a path is still the socket that was bound there. */
export function fileOf(path: string): Record<string, string> {
  const { dev = 0, ino = 0 } = statSync(path, { throwIfNoEntry: false }) ?? {};
  return { device: String(dev), inode: String(ino) };
}

function inodeOf(address: Address): number | null {
  return address.kind === 'unix' ? (statSync(address.path, { throwIfNoEntry: false })?.ino ?? null) : null;
}

function need<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('Expected covet-init to send a descriptor, got none');
  return value;
}
