/** What this host grants the supervisor: CPUs by affinity, and the CFS quota of its cgroup. Read anew at each call; it may change. */
import { join } from 'node:path';
import { parseQuota, type CpuGrant } from './pin-policy.ts';
import type { Native } from '../../native/index.ts';
import { readIfThere } from '../protocol/proc-files.ts';

export function readCpuGrant(native: Native): CpuGrant {
  return { allowed: native.affinity(0), quota: readQuota() };
}

/** The tightest quota on the way from our cgroup to the root. */
function readQuota(): number | null {
  const lines = readIfThere('/proc/self/cgroup')?.split('\n') ?? [];
  const quotas: number[] = [];
  for (const line of lines) {
    const [, controllers = '', path = '/'] = line.split(':');
    const v1 = controllers.split(',').includes('cpu');
    if (controllers !== '' && !v1) continue;
    for (let folder = path; ; folder = join(folder, '..')) {
      const text = v1
        ? `${readIfThere(join('/sys/fs/cgroup/cpu', folder, 'cpu.cfs_quota_us')) ?? ''} ${readIfThere(join('/sys/fs/cgroup/cpu', folder, 'cpu.cfs_period_us')) ?? ''}`
        : (readIfThere(join('/sys/fs/cgroup', folder, 'cpu.max')) ?? '');
      const quota = parseQuota(text);
      if (quota !== null) quotas.push(quota);
      if (folder === '/' || folder === '.') break;
    }
  }
  return quotas.length === 0 ? null : Math.min(...quotas);
}
