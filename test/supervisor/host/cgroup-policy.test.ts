/** Whether there is a cgroup tree of our own, from what /proc said on hosts of each kind. Recorded, shortened to the lines that count. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planCgroups, type CgroupFacts } from '../../../supervisor/host/cgroup-policy.ts';

const V2 = '31 23 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot';
const V1 = [
  '31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755',
  '32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu',
  '35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory',
  '40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd',
].join('\n');
const HYBRID = `${V1}\n41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw`;

/** A host on which everything may be written and nothing is the machine's root, unless it is said. */
function host(facts: Partial<CgroupFacts>): CgroupFacts {
  return { groups: '', mounts: V2, initPid: 700, isService: false, exists: () => true, isWritable: () => true, ...facts };
}

const why = (facts: Partial<CgroupFacts>): string => {
  const plan = planCgroups(host(facts));
  return plan.kind === 'none' ? plan.why : `v2 at ${plan.root}`;
};

test('v1: none', () => {
  const groups = '4:memory:/system.slice/covet-pm.service\n1:name=systemd:/system.slice/covet-pm.service\n';
  assert.equal(why({ groups, mounts: V1, isService: true }), 'this host has cgroup v1 only');
});

test('absent: none', () => {
  assert.equal(why({ mounts: '22 1 8:1 / / rw - ext4 /dev/sda1 rw' }), 'no cgroup v2 tree is mounted here');
  assert.equal(why({ groups: '0::/covet\n', mounts: '' }), 'no cgroup v2 tree is mounted here');
});

test('hybrid: the v2 tree of it, where it is mounted', () => {
  const groups = '4:memory:/x\n1:name=systemd:/\n0::/delegated/covet\n';
  assert.deepEqual(planCgroups(host({ groups, mounts: HYBRID })), {
    kind: 'v2',
    root: '/sys/fs/cgroup/unified/delegated',
    mustMove: false,
    limitless: null,
  });
  assert.match(why({ groups: '1:name=systemd:/\n0::/\n', mounts: HYBRID, exists: () => false, initPid: 1 }), /, \/, is not delegated/);
});

test('v2 in our unit: what is around the subgroup that systemd makes from version 254 on', () => {
  const groups = '0::/system.slice/covet-pm.service/covet\n';
  const root = '/sys/fs/cgroup/system.slice/covet-pm.service';
  assert.deepEqual(planCgroups(host({ groups, isService: true })), { kind: 'v2', root, mustMove: false, limitless: null });
  const user = '0::/user.slice/user-1000.slice/user@1000.service/app.slice/covet-pm.service/covet\n';
  assert.match(why({ groups: user, isService: true }), /^v2 at .*\/app\.slice\/covet-pm\.service$/);
});

test('v2 in our unit under an older systemd: groups, but no controllers, or it could not start covet-init again', () => {
  const plan = planCgroups(host({ groups: '0::/system.slice/covet-pm.service\n', isService: true }));
  assert.equal(plan.kind === 'v2' && plan.root, '/sys/fs/cgroup/system.slice/covet-pm.service');
  assert.match((plan.kind === 'v2' && plan.limitless) || '', /DelegateSubgroup/);
});

test('v2 in a unit behind ProtectControlGroups: none', () => {
  const groups = '0::/system.slice/covet-pm.service/covet\n';
  assert.match(why({ groups, isService: true, isWritable: () => false }), /covet-pm\.service is not writable/);
});

test('v2 nested in a container: its root is ours when covet-init is PID 1, which moves out of it', () => {
  const container = { groups: '0::/\n', initPid: 1 };
  assert.deepEqual(planCgroups(host(container)), { kind: 'v2', root: '/sys/fs/cgroup', mustMove: true, limitless: null });
  // The next supervisor finds itself where the first one went.
  assert.deepEqual(planCgroups(host({ ...container, groups: '0::/covet\n' })), {
    kind: 'v2',
    root: '/sys/fs/cgroup',
    mustMove: false,
    limitless: null,
  });
  assert.match(why({ ...container, isWritable: () => false }), /\/sys\/fs\/cgroup is not writable/, "Docker's default");
  assert.match(why({ ...container, initPid: 7 }), /is not delegated/, 'there are others in it');
});

test("v2 in a container without a namespace for it: the mount shows the container's group alone", () => {
  const mounts = '900 890 0:27 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw';
  const container = { groups: '0::/docker/abc\n', mounts, initPid: 1 };
  assert.equal(why(container), 'v2 at /sys/fs/cgroup');
  assert.equal(why({ ...container, groups: '0::/docker/abc/covet\n' }), 'v2 at /sys/fs/cgroup');
  assert.equal(why({ ...container, groups: '0::/docker/abcdef/covet\n' }), 'no cgroup v2 tree is mounted here');
});

test('v2 on the root of the machine, or in a login session: not ours, though root could write it', () => {
  assert.match(why({ groups: '0::/\n', exists: () => false, initPid: 1 }), /is not delegated/);
  assert.match(why({ groups: '0::/user.slice/user-0.slice/session-3.scope\n' }), /session-3\.scope, is not delegated/);
  assert.match(why({ groups: '0::/system.slice/ssh.service\n' }), /is not delegated/);
});
