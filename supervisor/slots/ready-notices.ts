/**
 * READY=1 of sd_notify(3), for programs of any language: one datagram socket for the workers of all apps with `readiness: 'signal'`, as a
 * service manager has one for its units. Anybody may write to it. The kernel says who did, and only a worker, or what it has started, is
 * heard: who was there when it is read, so a helper waits until it was (sd_notify_barrier(3)), as systemd-notify does. covet-init holds it, so
 * that what is said while there is no supervisor waits for the next one.
 */
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { PacketSocket } from '../../native/index.ts';
import type { Env } from '../env.ts';
import type { Held } from '../init/held.ts';
import type { InitClient } from '../init/init-client.ts';
import type { StateRecord } from '../init/state.ts';
import { fileOf } from '../listeners/sockets.ts';
import { processStat } from '../protocol/proc-files.ts';

/** Its name in covet-init; no app's group is called so, for those end with a number (init/keys.ts). */
const GROUP = 'ready-notices';
/** Of a helper that a worker runs to say it: itself, a shell or two, the worker. */
const ANCESTORS_MAX = 16;
/** Said by workers that covet-init has not told to run yet, and by strangers. */
const EARLY_MAX = 256;
/** Between a worker's first instruction and the word of covet-init that it runs. */
const EARLY_MS = 10_000;

export class ReadyNotices {
  readonly #env: Env;
  readonly #init: InitClient;
  readonly #isHeard: (pid: number) => boolean;
  readonly #say: (words: string) => void;
  #socket: PacketSocket | null = null;
  #opening: Promise<void> | null = null;
  /** Pids of senders nobody knew, each with its ancestors; the latest last. */
  #early: { readonly line: readonly number[]; readonly atMs: number }[] = [];
  /** What NOTIFY_SOCKET says: where workers of another user reach it too. */
  readonly path: string;

  /** `isHeard` is asked of a pid whether it is a worker's, and tells that worker. */
  constructor(env: Env, init: InitClient, isHeard: (pid: number) => boolean, say: (words: string) => void) {
    this.#env = env;
    this.#init = init;
    this.#isHeard = isHeard;
    this.#say = say;
    this.path = join(env.paths.home, 'notify');
  }

  /** Opens it, once. Rejects with InitError: what bind(2) says. */
  open(): Promise<void> {
    if (this.#socket !== null) return Promise.resolve();
    this.#opening ??= this.#open().finally(() => (this.#opening = null));
    return this.#opening;
  }

  /** That of the supervisor before this one, if it had one. To be read once every worker has its handle. */
  adopt(held: Held): void {
    const fd = held.takeGroup(GROUP)?.members[0]?.fd;
    if (fd !== undefined) this.#read(fd);
  }

  /** Whether a worker said it before it was known to run. */
  takeEarly(pid: number): boolean {
    // Of longer ago is a stranger's, whose number the worker may have now.
    const sinceMs = this.#env.nowMs() - EARLY_MS;
    const recent = this.#early.filter(({ atMs }) => atMs >= sinceMs);
    this.#early = recent.filter(({ line }) => !line.includes(pid));
    return this.#early.length < recent.length;
  }

  /** For a covet-init that has to be told. */
  records(): StateRecord[] {
    if (this.#socket === null) return [];
    const { path } = this;
    const group = { key: GROUP, family: 'unixgram', host: '', port: '0', dual: '0', backlog: '0', halves: '1', note: '', path };
    return [
      { verb: 'group', fields: { ...group, ...fileOf(path) }, fds: [] },
      { verb: 'member', fields: { group: GROUP, slot: '0', half: '0', index: '0' }, fds: [this.#socket.fd] },
    ];
  }

  async #open(): Promise<void> {
    // Of a supervisor that was killed together with its covet-init; this one has the home's lock.
    rmSync(this.path, { force: true });
    const { fds } = await this.#init.request('listen', {
      group: GROUP,
      family: 'unixgram',
      path: this.path,
      slot: '0',
      half: '0',
      backlog: '0',
      note: '',
    });
    // Workers have users of their own.
    chmodSync(this.path, 0o777);
    this.#read(fds[0]!);
  }

  #read(fd: number): void {
    this.#socket = new this.#env.native.PacketSocket(fd, 'datagram');
    this.#socket.start(
      (text, fds, sender) => {
        // A barrier (sd_notify_barrier(3)): its sender waits until it is closed.
        try {
          if (text.split('\n').includes('READY=1')) this.#heard(sender);
        } finally {
          for (const extra of fds) this.#env.native.closeFd(extra);
        }
      },
      (error) => this.#say(`READY=1 is not heard any more: ${error?.message ?? 'its socket ended'}`),
    );
  }

  #heard(sender: number): void {
    const line = lineOf(sender);
    if (line.some((pid) => this.#isHeard(pid))) return;
    this.#early.push({ line, atMs: this.#env.nowMs() });
    if (this.#early.length > EARLY_MAX) this.#early.shift();
  }
}

/** A process and its ancestors, as long as they are there. */
function lineOf(pid: number): number[] {
  const line: number[] = [];
  for (let next = pid; next > 1 && line.length < ANCESTORS_MAX; next = processStat(next)?.parent ?? 0) line.push(next);
  return line;
}
