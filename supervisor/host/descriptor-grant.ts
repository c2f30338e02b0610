/** How many descriptors this process may have, and has. Node raised the soft limit to the hard one at its start. */
import { readdirSync, readFileSync } from 'node:fs';
import type { DescriptorGrant } from './descriptor-policy.ts';

export function readDescriptorGrant(): DescriptorGrant {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return { limit: limit === undefined ? Infinity : Number(limit), open: readdirSync('/proc/self/fd').length };
  } catch {
    return { limit: Infinity, open: 0 }; // hidden in this container
  }
}
