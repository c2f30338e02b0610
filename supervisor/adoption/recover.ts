/**
 * covet-init and its supervisor were killed at once, and the workers serve on: this process finds again what covet-init held and becomes
 * covet-init with it (native/init/state.h), which starts a supervisor, and that one adopts as ever. Sockets and the workers' new wires are
 * duplicates of the workers' own; the log pipes are opened anew, with all that waits in them.
 *
 * What no worker held is gone. Of a TCP listener that is its guard, which covet-init makes anew: workers stand in for every socket that has none
 * (listeners/stand-ins.ts). Where more is gone, because a worker is, the order of the rest in the kernel is not known: it goes on with one
 * half and the kernel's hash (listeners/sockets.ts), which needs none.
 *
 *   node recover.mjs covet-init options… -- program…       fd 3: whoever waits for the first word
 */
import { closeSync, readFileSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import type { Native } from '../../native/index.ts';
import { realEnv, type Env } from '../env.ts';
import { readGroupKey, readWorkerKey, RECOVERED_KEY } from '../init/keys.ts';
import { encodeState, workerRecord, type StateRecord } from '../init/state.ts';
import { CovetError } from '../protocol/errors.ts';
import type { InitPacket } from '../protocol/init-wire.ts';
import { NEW_WIRES_FILE, type NewWires } from '../protocol/worker-wire.ts';
import type { AppRecord } from '../state/wanted.ts';
import { findLeft, isSame, namesOf, type Left, type LeftWorker } from '../protocol/left-workers.ts';
import { OthersDescriptors } from './others-descriptors.ts';
import { STATE_FILE } from './succession.ts';

const READY_FD = 3;
/** For a worker that is busy and has not seen yet that its wires ended. */
const WIRES_WAIT_MS = 5_000;
const POLL_MS = 20;

interface Found {
  readonly worker: LeftWorker;
  readonly descriptors: OthersDescriptors;
}

async function recover(env: Env, command: readonly string[]): Promise<never> {
  // As covet-init says it to whoever comes second.
  if (env.native.isLocked(env.paths.lock)) throw new Error(`already running as pid ${readFileSync(env.paths.lock, 'utf8').trim()}`);
  const left = findLeft(env.paths);
  if (left === null) throw new Error('Expected workers that covet-init left, found none. Give the command again.');
  const apps = wantedApps(env);
  const found = left.workers.flatMap((worker) => open(env.native, worker));
  const workers: StateRecord[] = [];
  for (const each of found) workers.push(...(await recordOfLeft(env, each, isNode(each.worker, apps))));
  const notes = left.packets.filter(({ verb }) => verb === 'note').map(({ verb, fields }) => ({ verb, fields, fds: [] }));
  const recovered = { verb: 'note', fields: { key: RECOVERED_KEY, text: '{}' }, fds: [] };
  const { text, fds } = encodeState([...notes, recovered, ...groupRecords(env, left, found, apps), ...workers]);
  const state = env.native.memoryFile(STATE_FILE, text);
  const variables = Object.entries(process.env).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]));
  const [path = '', ...options] = command;
  return env.native.execve(path, [path, '--state', String(state), ...options], variables, [...fds, state, READY_FD]);
}

function open(native: Native, worker: LeftWorker): Found[] {
  try {
    const pidfd = native.pidfdOpen(worker.pid);
    if (isSame(worker.pid, worker.start)) return [{ worker, descriptors: new OthersDescriptors(native, worker.pid, pidfd) }];
    closeSync(pidfd);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  return [];
}

/** One whose pipes are gone cannot be looked after, and makes room for one that can. */
async function recordOfLeft({ native }: Env, { worker, descriptors }: Found, mustWait: boolean): Promise<StateRecord[]> {
  const { key = '', out = '', err = '' } = worker.packet.fields;
  const [, , outName = '', errName = ''] = namesOf(worker.packet);
  const pipes = [outName, errName].flatMap((name) => descriptors.openPipe(name) ?? []);
  if (pipes.length < 2) {
    native.pidfdSignal(descriptors.pidfd, constants.signals.SIGKILL);
    return [];
  }
  const wires = await newWires(native, worker, descriptors, mustWait);
  const { pid, start } = worker;
  return [workerRecord({ key, pid, start, files: { out, err }, fds: [...wires, ...pipes], pidfd: descriptors.pidfd })];
}

/** Channel and hand-off. A worker that does not offer any (it is no Node program, or hangs) gets none: it can be signalled. */
async function newWires(native: Native, worker: LeftWorker, descriptors: OthersDescriptors, mustWait: boolean): Promise<number[]> {
  const isSocket = (link: string): boolean => link.startsWith('socket:');
  const until = performance.now() + (mustWait ? WIRES_WAIT_MS : 0);
  do {
    const file = descriptors.find(`/memfd:${NEW_WIRES_FILE} (deleted)`);
    if (file !== null) {
      const told = JSON.parse(readFileSync(`/proc/self/fd/${file}`, 'utf8')) as NewWires;
      closeSync(file);
      const taken = [told.channel, told.handoff].flatMap((number) => descriptors.take(number, isSocket) ?? []);
      if (taken.length === 2) return taken;
      for (const fd of taken) closeSync(fd);
    }
    await pause(POLL_MS);
  } while (performance.now() < until && isSame(worker.pid, worker.start));
  return (['stream', 'seqpacket'] as const).map((kind) => {
    const [ours, theirs] = native.socketPair(kind);
    native.closeFd(theirs);
    return ours;
  });
}

/** Each group of which some socket is left. */
function groupRecords({ native }: Env, { packets }: Left, found: readonly Found[], apps: readonly AppRecord[]): StateRecord[] {
  return packets
    .filter(({ verb }) => verb === 'group')
    .flatMap((group) => {
      const key = group.fields['key'] ?? '';
      const told = packets.filter(({ verb, fields }) => verb === 'member' && fields['group'] === key);
      const members = told.map((member) => ({ member, fd: firstOf(found, namesOf(member)[0] ?? '') }));
      const left = members.filter(({ fd }) => fd !== null);
      const socket = left[0]?.fd;
      if (socket === undefined || socket === null) return [];
      if (group.fields['halves'] !== '2') return groupOf(group.fields, left);
      const serving = liveHalf(key, apps);
      if (members.length - left.length < 2) return groupOf({ ...group.fields, serving }, inKernelOrder(members));
      forgetProgram(native, socket);
      return groupOf({ ...group.fields, halves: '1' }, onePerSlot(left, serving));
    });
}

function groupOf(fields: InitPacket['fields'], members: readonly Member[]): StateRecord[] {
  return [{ verb: 'group', fields, fds: [] }, ...members.map(memberRecord)];
}

/** A socket, and what is left of it: a duplicate, or null. */
interface Member {
  readonly member: InitPacket;
  readonly fd: number | null;
}

function firstOf(found: readonly Found[], name: string): number | null {
  for (const { descriptors } of found) {
    const fd = descriptors.find(name);
    if (fd !== null) return fd;
  }
  return null;
}

/** Of those that were there at most one is gone, whose place in the kernel's group the last one took (net/core/sock_reuseport.c). */
function inKernelOrder(members: readonly Member[]): Member[] {
  const kept = [...members];
  const gone = kept.findIndex(({ fd }) => fd === null);
  const last = kept.at(-1);
  if (gone === -1 || last === undefined) return kept;
  kept[gone] = last;
  kept.pop();
  return kept;
}

/** The order of the rest is not known any more. Of two that one is taken on which a slot gets its connections. */
function onePerSlot(left: readonly Member[], live: string): Member[] {
  const bySlot = new Map<string, Member>();
  for (const each of left) {
    const { slot = '', half = '' } = each.member.fields;
    if (half !== '-1' && (!bySlot.has(slot) || half === live)) bySlot.set(slot, each);
  }
  return [...bySlot.values()];
}

function liveHalf(group: string, apps: readonly AppRecord[]): string {
  const app = apps.find(({ config }) => config.name === readGroupKey(group)?.app);
  return String(app?.generations.find(({ number }) => number === app.live)?.half ?? 0);
}

function memberRecord({ member: { fields }, fd }: Member, index: number): StateRecord {
  const { group = '', slot = '0', half = '0' } = fields;
  return { verb: 'member', fields: { group, slot, half, index: String(index) }, fds: fd === null ? [] : [fd] };
}

/** It picks by numbers that mean other sockets now, or none. */
function forgetProgram(native: Native, socket: number): void {
  try {
    native.detachSelector(socket);
  } catch {
    // none was attached, or it is no socket of a group
  }
}

/** Only such a worker has a preload, unless nothing is known of it. */
function isNode({ packet }: LeftWorker, apps: readonly AppRecord[]): boolean {
  const key = readWorkerKey(packet.fields['key'] ?? '');
  const app = apps.find(({ config }) => config.name === key?.app);
  return app?.generations.find(({ number }) => number === key?.generation)?.launch.isNode ?? true;
}

/** A hint alone: the supervisor reads it with all care. */
function wantedApps({ paths }: Env): readonly AppRecord[] {
  try {
    return (JSON.parse(readFileSync(paths.wanted, 'utf8')) as { apps: AppRecord[] }).apps;
  } catch {
    return [];
  }
}

function sentenceOf(error: NodeJS.ErrnoException): string {
  if (error instanceof CovetError || error.message.startsWith('already running')) return error.message;
  if (error.code !== 'EPERM' && error.code !== 'EACCES') return `Cannot take the workers back: ${error.message}.`;
  return (
    'Cannot take the workers back: the kernel refuses to look into them (pidfd_getfd: EPERM). Run this as root, or as the user of the workers with ' +
    '`sysctl kernel.yama.ptrace_scope=0`; or end the workers.'
  );
}

recover(realEnv(), process.argv.slice(2)).catch((error: NodeJS.ErrnoException) => {
  writeSync(READY_FD, `error ${sentenceOf(error)}\n`);
  process.exit(1);
});
