/**
 * Whether covet-pm has a cgroup v2 tree of its own to give each app a group in, and where. Pure, from what /proc tells; cgroups.ts acts on it.
 *
 *   <root>/covet       covet-init and its supervisor: a group whose children have controllers may have no process itself
 *   <root>/app-<name>  the workers of an app
 *
 * Only where nobody else moves processes about (systemd's single-writer rule): in a group that is called `covet`, which is how systemd
 * (DelegateSubgroup=) or an operator delegates what is around it; in our own unit; or in a container whose PID 1 is covet-init.
 * cgroups(7), the kernel's admin-guide/cgroup-v2, systemd's CGROUP_DELEGATION.
 */

/** The group of covet-init and its supervisor; native/init/sweep.cc and the unit file know it too. */
export const OWN_GROUP = 'covet';

export interface CgroupFacts {
  /** /proc/self/cgroup and /proc/self/mountinfo of the supervisor. */
  readonly groups: string;
  readonly mounts: string;
  readonly initPid: number;
  /** covet-init is the main process of a unit of `startup`, whose tree is delegated. */
  readonly isService: boolean;
  exists(path: string): boolean;
  isWritable(path: string): boolean;
}

export type CgroupPlan =
  | {
      readonly kind: 'v2';
      readonly root: string;
      /** covet-init and supervisor are in the root itself, and may leave it. */
      readonly mustMove: boolean;
      /** Why no controller may be enabled; null when they may. */
      readonly limitless: string | null;
    }
  | { readonly kind: 'none'; readonly why: string; readonly advice: string };

const ADVICE = '`covet-pm startup` has systemd delegate one; docs/cgroups.md has the other ways.';
/** An older one starts a unit's main process in the unit's own group, which the kernel would refuse once groups below it have controllers. */
const OLD_SYSTEMD = 'the unit has no DelegateSubgroup=, which needs systemd 254 and a unit that `covet-pm startup` wrote there';
const none = (why: string, advice = ADVICE): CgroupPlan => ({ kind: 'none', why, advice });

export function planCgroups(facts: CgroupFacts): CgroupPlan {
  const own = /^0::(\/.*)$/m.exec(facts.groups)?.[1];
  const mount = own === undefined ? null : mountOf(own, facts.mounts);
  if (own === undefined || mount === null) {
    return / - cgroup /.test(facts.mounts)
      ? none('this host has cgroup v1 only', 'Boot it with systemd.unified_cgroup_hierarchy=1.')
      : none('no cgroup v2 tree is mounted here', 'Mount one at /sys/fs/cgroup, writable.');
  }
  const folder = mount.point + (own === mount.root ? '' : own.slice(mount.root === '/' ? 0 : mount.root.length));
  const name = own === mount.root ? '' : own.slice(own.lastIndexOf('/') + 1);
  const isLeaf = name === OWN_GROUP;
  const isUnit = facts.isService && name.endsWith('.service');
  // The root of the whole machine has no events; what a container sees as its root has.
  const isContainer = name === '' && facts.initPid === 1 && facts.exists(`${folder}/cgroup.events`);
  if (!isLeaf && !isUnit && !isContainer) return none(`the group of covet-init, ${own}, is not delegated to it`);
  const root = isLeaf ? folder.slice(0, -OWN_GROUP.length - 1) : folder;
  // To make a group there, and to move a process from one below it to another.
  if (!facts.isWritable(root) || !facts.isWritable(`${root}/cgroup.procs`)) {
    const advice = 'It is read-only in this container or behind ProtectControlGroups= (`startup --hardened`), or belongs to somebody else.';
    return none(`${root} is not writable`, advice);
  }
  return { kind: 'v2', root, mustMove: isContainer, limitless: isUnit ? OLD_SYSTEMD : null };
}

/** The first cgroup2 mount that shows the group: where it is, and which group is its root. */
function mountOf(own: string, mounts: string): { readonly root: string; readonly point: string } | null {
  for (const line of mounts.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root = '', point = ''] = before.split(' ');
    if (after.startsWith('cgroup2 ') && (own === root || own.startsWith(root === '/' ? '/' : `${root}/`))) return { root, point };
  }
  return null;
}
