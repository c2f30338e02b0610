/** Sockets: the selector program decides where a real connection goes, a queue tells its depth, names and peers are what they are. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { native } from '../../native/index.ts';
import { connectMany, makeGroup } from './group.ts';
import { closeAll, DEADLINE_MS, isCloexec, openFds, systemError, temporaryFolder } from './pipe.ts';

const addon = native();
const timeout = DEADLINE_MS;

/** How many more wait than did. */
function more(now: readonly number[], before: readonly number[]): number[] {
  return now.map((depth, i) => depth - (before[i] ?? 0));
}

test('attachSelector spreads connections over the indices it names, and flips at once', { timeout }, async (t) => {
  const group = makeGroup(t);
  const [first = -1] = group.fds;
  addon.attachSelector(first, [0]);
  await connectMany(group, 20);
  assert.deepEqual(group.depths(), [20, 0, 0, 0]);

  addon.attachSelector(first, [1, 2]);
  await connectMany(group, 60);
  const [zero, one = 0, two = 0, three] = group.depths();
  assert.deepEqual([zero, one + two, three], [20, 60, 0]);
  assert.ok(one > 0 && two > 0, `${one} and ${two}`);

  // Through another member: the program is the group's.
  addon.attachSelector(group.fds[1] ?? -1, [3]);
  await connectMany(group, 20);
  assert.deepEqual(group.depths(), [20, one, two, 20]);
});

test('an index named nine times of ten gets nine connections of ten', { timeout }, async (t) => {
  const group = makeGroup(t);
  addon.attachSelector(group.fds[0] ?? -1, [0, ...Array.from({ length: 9 }, () => 1)]);
  await connectMany(group, 200);
  const [zero = 0, one = 0, ...others] = group.depths();
  assert.equal(zero + one, 200);
  assert.deepEqual(others, [0, 0]);
  // 180 are expected; fewer than 150 would be seven standard deviations off.
  assert.ok(one >= 150 && zero > 0, `${zero} and ${one}`);
});

test('a reserved source port is steered to its index, and only that', { timeout }, async (t) => {
  const group = makeGroup(t);
  const reserved = createServer().listen(0, '127.0.0.1');
  await once(reserved, 'listening');
  const address = reserved.address();
  assert.ok(address !== null && typeof address === 'object');
  reserved.close();
  await once(reserved, 'close');

  addon.attachSelector(group.fds[0] ?? -1, [0], { port: address.port, index: 2 });
  await connectMany(group, 10);
  assert.deepEqual(group.depths(), [10, 0, 0, 0]);
  const probe = await group.connect(address.port);
  assert.equal(probe.localPort, address.port);
  assert.deepEqual(group.depths(), [10, 0, 1, 0]);
  const before = group.depths();
  await connectMany(group, 10);
  assert.deepEqual(more(group.depths(), before), [10, 0, 0, 0]);
});

test('no program can be attached through a locked socket, nor an empty one', (t) => {
  const group = makeGroup(t);
  assert.throws(() => addon.attachSelector(group.fds[3] ?? -1, [0]), systemError('EPERM', 'setsockopt'));
  assert.throws(() => addon.attachSelector(group.fds[0] ?? -1, []), systemError('EINVAL', 'setsockopt'));
  assert.throws(() => addon.attachSelector(group.fds[0] ?? -1, [-1]), /Expected `indices`/);
  assert.throws(() => addon.attachSelector(group.fds[0] ?? -1, [0], { port: 0, index: 0 }), /Expected `steer\.port`/);
});

test('queueState tells the depth and the backlog, and listenAgain sets it', { timeout }, async (t) => {
  const group = makeGroup(t);
  const [first = -1] = group.fds;
  addon.attachSelector(first, [0]);
  assert.deepEqual(addon.queueState(first), { listening: true, depth: 0, max: 256 });
  await connectMany(group, 7);
  assert.deepEqual(addon.queueState(first), { listening: true, depth: 7, max: 256 });
  addon.listenAgain(first, 100);
  assert.deepEqual(addon.queueState(first), { listening: true, depth: 7, max: 100 });

  const accepting = createServer((socket) => socket.destroy()).listen({ fd: addon.duplicate(first) });
  const emptied = new Promise<void>((resolve) => {
    let taken = 0;
    accepting.on('connection', () => {
      if (++taken === 7) resolve();
    });
  });
  await emptied;
  assert.equal(addon.queueState(first).depth, 0);
  accepting.close();
});

test('queueState tells a socket that does not listen, and refuses what is not TCP', { timeout }, async (t) => {
  const group = makeGroup(t);
  const client = await group.connect();
  const { fd } = (client as unknown as { _handle: { fd: number } })._handle;
  assert.deepEqual(addon.queueState(fd), { listening: false, depth: 0, max: 0 });
  const [one, other] = addon.socketPair('stream');
  assert.throws(() => addon.queueState(one), systemError('ENOTSUP', 'getsockopt'));
  assert.throws(() => addon.listenAgain(one, 1), systemError('EINVAL', 'listen'));
  closeAll(one, other);
});

test('socketName tells each family as Node does', { timeout }, async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'socket');
  for (const [listen, expected] of [
    [
      { host: '127.0.0.1', port: 0 },
      { address: '127.0.0.1', family: 4 },
    ],
    [
      { host: '::1', port: 0 },
      { address: '::1', family: 6 },
    ],
    [{ path }, { path }],
    [{ path: `\0covet-native-test-${process.pid}` }, { path: `\0covet-native-test-${process.pid}` }],
  ] as const) {
    const server = createServer().listen(listen);
    await once(server, 'listening');
    // The descriptor itself: no public name leads from a server to it.
    t.after(() => server.close());
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? { port: address.port } : {};
    const name = addon.socketName(fd);
    // Node 20 binds an abstract name as long as a name can be, filled with NULs.
    const trimmed = 'path' in name ? { path: name.path.replace(/\0+$/, '') } : name;
    assert.deepEqual(trimmed, { ...expected, ...port });
  }
  const [one, other] = addon.socketPair('stream');
  assert.deepEqual(addon.socketName(one), { path: '' });
  closeAll(one, other);
});

test('peerCredentials are those of whoever made the other end', () => {
  const [one, other] = addon.socketPair('seqpacket');
  assert.deepEqual(addon.peerCredentials(one), { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() });
  closeAll(one, other);
});

test('descriptors are CLOEXEC from birth, and as told after', () => {
  const [one, other] = addon.socketPair('stream');
  const copy = addon.duplicate(one);
  assert.deepEqual([one, other, copy].map(isCloexec), [true, true, true]);
  addon.setCloexec(copy, false);
  assert.equal(isCloexec(copy), false);
  addon.setCloexec(copy, true);
  assert.equal(isCloexec(copy), true);
  for (const fd of [one, other, copy]) addon.closeFd(fd);
  assert.throws(() => addon.closeFd(copy), systemError('EBADF', 'close'));
  assert.throws(() => addon.duplicate(copy), systemError('EBADF', 'fcntl'));
  assert.throws(() => addon.setCloexec(copy, true), systemError('EBADF', 'fcntl'));
  assert.throws(() => addon.socketPair('datagram' as 'stream'), /Expected `kind`/);
});

test('setCloexecFrom reaches beyond a hole, and leaves what is below', { timeout }, async () => {
  const low = openSync('/dev/null', constants.O_RDONLY);
  const hole = openSync('/dev/null', constants.O_RDONLY);
  const high = openSync('/dev/null', constants.O_RDONLY);
  closeSync(hole);
  assert.ok(low < high);
  for (const fd of [low, high]) addon.setCloexec(fd, false);
  addon.setCloexecFrom(low + 1);
  assert.deepEqual([low, high].map(isCloexec), [false, true]);
  addon.setCloexecFrom(3);
  assert.ok([...openFds().keys()].every((fd) => fd < 3 || isCloexec(fd)));

  // And a child has none of them.
  const child = spawn('ls', ['/proc/self/fd'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let listed = '';
  child.stdout.on('data', (text) => (listed += text));
  await once(child, 'close');
  assert.equal(listed.trim().split('\n').length, 4, listed); // 0 to 2, and the folder it reads
  closeAll(low, high);
});
