/**
 * The workers that live on when covet-init and its supervisor were killed at once, from the record that covet-init kept on disk
 * (native/init/record.h). Only reads, and without a dependency: `list` says how many there are.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CovetError } from './errors.ts';
import { decodeInitPacket, INIT_WIRE_VERSION, type InitPacket } from './init-wire.ts';
import type { Paths } from './paths.ts';
import { processStat } from './proc-files.ts';

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

/**
 * null: nothing was left, or nothing of it lives. Says nothing about whether a covet-init has it all, as one has in good times. Throws
 * COVET_ERR_LEFT_UNREADABLE: beside workers that it does not know of, a caller would start others in their place.
 */
export function findLeft({ home, lock }: Paths): Left | null {
  const path = join(dirname(lock), 'held');
  try {
    const text = textOf(path);
    return text === null ? null : readRecord(text);
  } catch (error) {
    throw new CovetError('COVET_ERR_LEFT_UNREADABLE', { home, path, reason: (error as Error).message }, { cause: error });
  }
}

/** null: an orderly end left none, or a loss of power did, which spares nothing of a file that nobody synced. */
function textOf(path: string): string | null {
  try {
    const text = readFileSync(path, 'utf8');
    return text === '' || text.startsWith('\0') ? null : text;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

function readRecord(text: string): Left | null {
  const [first = '', ...lines] = text.trimEnd().split('\n');
  const record = decodeInitPacket(first);
  if (record.verb !== 'record') throw new SyntaxError(`expected it to begin with "record", got ${JSON.stringify(first.slice(0, 80))}`);
  // Pids and inodes are those of one boot.
  if (record.fields['boot'] !== readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()) return null;
  const packets = lines.map(decodeInitPacket);
  const version = packets.find(({ verb }) => verb === 'init')?.fields['version'] ?? 'none';
  const { min, max } = INIT_WIRE_VERSION;
  if (!(Number(version) >= min && Number(version) <= max))
    throw new RangeError(`expected version ${min} to ${max}, got ${version}; the covet-pm that wrote it reads it`);
  const workers = packets.filter(({ verb }) => verb === 'worker').flatMap(livingWorker);
  return workers.length === 0 ? null : { packets, workers };
}

/** Where each descriptor led to. */
export function namesOf({ fields }: InitPacket): readonly string[] {
  return fields['names']?.split(',') ?? [];
}

/** Whether the process with that number is the one that was meant. */
export function isSame(pid: number, start: string): boolean {
  const stat = processStat(pid);
  return stat !== null && !['Z', 'X'].includes(stat.state) && stat.start === start;
}

function livingWorker(packet: InitPacket): LeftWorker[] {
  const { pid = '0', start = '0', state = '' } = packet.fields;
  if (!['starting', 'running'].includes(state) || start === '0' || !isSame(Number(pid), start)) return [];
  return [{ pid: Number(pid), start, packet }];
}
