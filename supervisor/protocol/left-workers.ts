/**
 * The workers that live on when covet-init and its supervisor were killed at once, from the record that covet-init kept on disk
 * (native/init/record.h). Only reads, and without a dependency: `list` says how many there are.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { decodeInitPacket, type InitPacket } from './init-wire.ts';
import type { Paths } from './paths.ts';

export interface LeftWorker {
  readonly pid: number;
  /** Clock ticks after boot. */
  readonly start: string;
  readonly packet: InitPacket;
}

export interface Left {
  /** Everything covet-init held, in its order. */
  readonly packets: readonly InitPacket[];
  /** Never none. */
  readonly workers: readonly LeftWorker[];
}

/** null: nothing was left, or nothing of it lives. Says nothing about whether a covet-init has it all, as one has in good times. */
export function findLeft({ lock }: Paths): Left | null {
  try {
    const [first, ...packets] = readFileSync(join(dirname(lock), 'held'), 'utf8')
      .trimEnd()
      .split('\n')
      .map(decodeInitPacket);
    // Pids and inodes are those of one boot.
    if (first?.fields['boot'] !== readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()) return null;
    const workers = packets.filter(({ verb }) => verb === 'worker').flatMap(livingWorker);
    return workers.length === 0 ? null : { packets, workers };
  } catch {
    return null; // an orderly end leaves none
  }
}

/** Where each descriptor led to. */
export function namesOf({ fields }: InitPacket): readonly string[] {
  return fields['names']?.split(',') ?? [];
}

/** Whether the process with that number is the one that was meant. */
export function isSame(pid: number, start: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return !['Z', 'X'].includes(fields[0] ?? '') && fields[19] === start;
  } catch {
    return false;
  }
}

function livingWorker(packet: InitPacket): LeftWorker[] {
  const { pid = '0', start = '0', state = '' } = packet.fields;
  if (!['starting', 'running'].includes(state) || start === '0' || !isSame(Number(pid), start)) return [];
  return [{ pid: Number(pid), start, packet }];
}
