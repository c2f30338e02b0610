/** What `doctor` says of the systemd unit that this supervisor runs in: how full its descriptor store is. systemd.service(5). */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import type { DoctorFinding } from '../protocol/operations.ts';
import { note, ok, warning } from './findings.ts';

const DEADLINE_MS = 5_000;
/** Above this part of it there is soon no room for what a covet-init that is killed would lose. */
const FULL = 0.8;

export async function serviceFindings(): Promise<DoctorFinding[]> {
  const unit = unitOf(readFileSync('/proc/self/cgroup', 'utf8'));
  if (unit === null) return [note('systemd unit', 'not told by /proc/self/cgroup', 'How full its descriptor store is cannot be told.')];
  const scope = unit.isUser ? ['--user'] : [];
  try {
    const properties = ['--property', 'FileDescriptorStoreMax,NFileDescriptorStore'];
    const { stdout } = await promisify(execFile)('systemctl', [...scope, 'show', unit.name, ...properties], { timeout: DEADLINE_MS });
    return [
      ok('systemd unit', unit.name),
      storeFinding(numberIn(stdout, 'NFileDescriptorStore'), numberIn(stdout, 'FileDescriptorStoreMax')),
    ];
  } catch (error) {
    return [note('systemd unit', unit.name, `How full its descriptor store is cannot be told: ${(error as Error).message}`)];
  }
}

export function storeFinding(kept: number, max: number): DoctorFinding {
  const found = `${kept} of ${max}`;
  if (max > 0 && kept <= max * FULL) return ok('descriptors that systemd keeps', found);
  const advice =
    'What does not fit is lost when covet-init is killed, and everything is started anew. Raise FileDescriptorStoreMax= (`systemctl edit`).';
  return warning('descriptors that systemd keeps', found, advice);
}

/** The unit is the last part of the path of our control group, or the one before it where a part of ours follows. */
export function unitOf(cgroups: string): { readonly name: string; readonly isUser: boolean } | null {
  const path = /^(?:\d+:name=systemd|0:):(.*)$/m.exec(cgroups)?.[1] ?? '';
  const name = path.split('/').findLast((part) => part.endsWith('.service'));
  return name === undefined ? null : { name: basename(name), isUser: path.includes('/user@') };
}

function numberIn(text: string, property: string): number {
  return Number(new RegExp(`^${property}=(\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}
