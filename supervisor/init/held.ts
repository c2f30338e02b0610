/**
 * What covet-init holds when a supervisor greets it: the sockets, workers and notes of the one before. Collected from the packets of one
 * hello; whoever adopts an entry takes it out and owns its descriptors, and what is left is closed.
 */
import type { InitPacket } from '../protocol/init-wire.ts';
import { workerRecord, type StateRecord } from './state.ts';

export interface HeldMember {
  readonly slot: number;
  /** −1: the guard. */
  readonly half: number;
  readonly index: number;
  readonly fd: number;
}

export interface HeldGroup {
  readonly key: string;
  /** As `listen` was asked: family, host, port, dual, backlog, halves, path. */
  readonly fields: Readonly<Record<string, string>>;
  readonly note: string;
  readonly members: HeldMember[];
}

export interface HeldWorker {
  readonly key: string;
  /** 0 while covet-exec has not told it. */
  readonly pid: number;
  /** Clock ticks after boot. */
  readonly start: string;
  /** Where covet-init writes its lines while there is no supervisor. */
  readonly files: { readonly out: string; readonly err: string };
  readonly channel: number;
  readonly handoff: number;
  readonly out: number;
  readonly err: number;
  /** null before the pid is known. */
  readonly pidfd: number | null;
}

export class Held {
  readonly groups = new Map<string, HeldGroup>();
  readonly workers = new Map<string, HeldWorker>();
  readonly notes = new Map<string, string>();
  readonly #closeFd: (fd: number) => void;

  constructor(closeFd: (fd: number) => void) {
    this.#closeFd = closeFd;
  }

  /** One packet of the hello. What it is not made for is let go. */
  take({ verb, fields }: InitPacket, fds: readonly number[]): void {
    const key = fields['key'] ?? '';
    if (verb === 'note') return void this.notes.set(key, fields['text'] ?? '');
    if (verb === 'group') return void this.groups.set(key, { key, fields, note: fields['note'] ?? '', members: [] });
    const group = verb === 'member' ? this.groups.get(fields['group'] ?? '') : undefined;
    const [first, handoff, out, err, pidfd = null] = fds;
    if (group !== undefined && first !== undefined) {
      group.members.push({ slot: Number(fields['slot']), half: Number(fields['half']), index: Number(fields['index']), fd: first });
    } else if (verb === 'worker' && first !== undefined && handoff !== undefined && out !== undefined && err !== undefined) {
      const files = { out: fields['out'] ?? '', err: fields['err'] ?? '' };
      const { pid = '0', start = '0' } = fields;
      this.workers.set(key, { key, pid: Number(pid), start, files, channel: first, handoff, out, err, pidfd });
    } else {
      for (const fd of fds) this.#closeFd(fd);
    }
  }

  takeGroup(key: string): HeldGroup | undefined {
    const group = this.groups.get(key);
    this.groups.delete(key);
    return group;
  }

  takeWorker(key: string): HeldWorker | undefined {
    const worker = this.workers.get(key);
    this.workers.delete(key);
    return worker;
  }

  /** Of every worker that nobody took: theirs to signal and to close. */
  takePidfds(): number[] {
    const pidfds: number[] = [];
    for (const [key, worker] of this.workers) {
      if (worker.pidfd === null) continue;
      pidfds.push(worker.pidfd);
      this.workers.set(key, { ...worker, pidfd: null });
    }
    return pidfds;
  }

  /** What nobody took yet, for a covet-init that has to be told. */
  records(): StateRecord[] {
    const groups = [...this.groups.values()].flatMap(({ key, fields, members }) => [
      { verb: 'group', fields, fds: [] },
      ...members.map(({ slot, half, index, fd }) => ({
        verb: 'member',
        fields: { group: key, slot: String(slot), half: String(half), index: String(index) },
        fds: [fd],
      })),
    ]);
    const workers = [...this.workers.values()].map(({ channel, handoff, out, err, ...worker }) =>
      workerRecord({ ...worker, fds: [channel, handoff, out, err] }),
    );
    return [...groups, ...workers];
  }

  /** Closes what nobody took. */
  close(): void {
    for (const { members } of this.groups.values()) for (const { fd } of members) this.#closeFd(fd);
    for (const { channel, handoff, out, err, pidfd } of this.workers.values())
      for (const fd of [channel, handoff, out, err, pidfd]) if (fd !== null) this.#closeFd(fd);
    this.groups.clear();
    this.workers.clear();
  }
}
