/** covet-init as a supervisor sees it: what its wire promises, verb by verb, with this process as the supervisor. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, Socket, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { native } from '../../native/index.ts';
import { seededRandom } from '../seed.ts';
import {
  type Conversation,
  descriptors,
  ended,
  exitOf,
  type Heard,
  isSanitized,
  spawnExec,
  startEmbedded,
  startWorker,
  status,
  temporaryFolder,
} from './init-harness.ts';

const RSS_KIB_MAX = 3 * 1024;
const isRoot = process.getuid?.() === 0;
const onlyRoot = { skip: !isRoot && 'needs root' };

function address(fields: Record<string, string | number> = {}): Record<string, string | number> {
  return { group: 'g', family: 'tcp4', host: '127.0.0.1', port: 0, dual: 0, backlog: 511, slot: 0, half: 0, halves: 2, ...fields };
}

async function listening(wire: Conversation, fields: Record<string, string | number> = {}): Promise<Heard> {
  const reply = await wire.request('listen', address(fields));
  assert.equal(reply.verb, 'listening', JSON.stringify(reply.fields));
  return reply;
}

/** Connects `count` times and tells how many wait in each socket's queue. Nobody accepts. */
async function spread(t: TestContext, port: number, fds: readonly number[], count: number, host = '127.0.0.1'): Promise<number[]> {
  const before = fds.map((fd) => native().queueState(fd).depth);
  const sockets = Array.from({ length: count }, () => connect(port, host));
  for (const socket of sockets) socket.on('error', () => {}); // reset when the group closes
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return fds.map((fd, i) => native().queueState(fd).depth - before[i]!);
}

function failure(reply: Heard): string {
  return `${reply.verb} ${reply.fields['code']}`;
}

test('hello agrees on a version, and refuses one that is not there yet', async (t) => {
  const { wire, child } = startEmbedded(t);
  const [hello, ...rest] = await wire.hello();
  assert.deepEqual(
    { verb: hello?.verb, ...hello?.fields },
    { verb: 'hello', version: '1', pid: String(child.pid), resumed: '0', service: '0', watchdog: '0', deaths: '0', lock: '', log: '' },
  );
  assert.deepEqual(rest, []);
  assert.equal(failure(await wire.request('hello', { min: 2, max: 3 })), 'error EPROTONOSUPPORT');
  assert.equal(failure(await wire.request('hello')), 'error EINVAL');
});

test('an unknown verb is answered with an error, and unknown keys are ignored', async (t) => {
  const { wire } = startEmbedded(t);
  assert.equal(failure(await wire.request('frobnicate')), 'error ENOSYS');
  assert.equal((await wire.request('forget', { key: 'nobody', colour: 'blue' })).verb, 'ok');
});

test('every connection waits in the first half until a program says otherwise, and a flip moves all of them', async (t) => {
  const { wire } = startEmbedded(t);
  const { fields, fds } = await listening(wire);
  assert.deepEqual([fields['halves'], fields['a'], fields['b'], fields['guard']], ['2', '0', '2', '1']);
  const [a, b, guard] = fds as [number, number, number];
  const port = Number(fields['port']);
  assert.deepEqual(await spread(t, port, fds, 200), [200, 0, 0]);
  native().attachSelector(guard, [2]);
  assert.deepEqual(await spread(t, port, fds, 200), [0, 200, 0]);
  native().attachSelector(guard, [0]);
  assert.deepEqual(await spread(t, port, fds, 200), [200, 0, 0]);
  assert.deepEqual([native().queueState(a).max, native().queueState(b).listening], [511, true]);
});

test('appended pairs take the next indices, however often they are asked for', async (t) => {
  const { wire } = startEmbedded(t);
  const { fields, fds } = await listening(wire);
  const one = await wire.request('append', { group: 'g', slot: 1, half: 0 });
  const two = await wire.request('append', { group: 'g', slot: 2, half: 0 });
  const again = await wire.request('append', { group: 'g', slot: 1, half: 0 });
  assert.deepEqual(
    [one, two, again].map((reply) => [reply.fields['a'], reply.fields['b']]),
    [
      ['3', '4'],
      ['5', '6'],
      ['3', '4'],
    ],
  );
  const [a = -1, b = -1, guard = -1] = fds;
  const all = [a, guard, b, ...one.fds, ...two.fds];
  for (const index of [4, 6, 3, 5]) {
    native().attachSelector(guard, [index]);
    const expected = all.map((_, i) => (i === index ? 40 : 0));
    assert.deepEqual(await spread(t, Number(fields['port']), all, 40), expected);
  }
  const members = (await wire.hello())
    .filter((heard) => heard.verb === 'member')
    .map(({ fields: of }) => [of['slot'], of['half'], of['index']].join(' '));
  assert.deepEqual(members, ['0 0 0', '-1 -1 1', '0 1 2', '1 0 3', '1 1 4', '2 0 5', '2 1 6']);
  assert.equal(failure(await wire.request('append', { group: 'nobody', slot: 1, half: 0 })), 'error ENOENT');
});

test('a port of the kernel’s choice is kept by a socket that was shut down, and told of its new place', async (t) => {
  const { wire } = startEmbedded(t);
  const { fields, fds } = await listening(wire);
  const [a = -1, b = -1, guard = -1] = fds;
  const port = Number(fields['port']);
  execFileSync('python3', ['-c', 'import socket; socket.socket(fileno=3).shutdown(2)'], { stdio: ['ignore', 'inherit', 'inherit', a] });
  assert.equal(native().queueState(a).listening, false);
  native().listenAgain(a, 511);
  assert.equal((native().socketName(a) as { port: number }).port, port);
  // It left the group, and the last took its place.
  assert.equal((await wire.request('moved', { group: 'g', index: 0 })).verb, 'ok');
  const members = (await wire.hello())
    .filter((heard) => heard.verb === 'member')
    .map(({ fields: of }) => [of['slot'], of['half'], of['index']].join(' '));
  assert.deepEqual(members, ['0 1 0', '-1 -1 1', '0 0 2']);
  native().attachSelector(guard, [2]);
  assert.deepEqual(await spread(t, port, [a, b, guard], 40), [40, 0, 0]);
  assert.equal(failure(await wire.request('moved', { group: 'g', index: 3 })), 'error EINVAL');
});

test('a selector draws evenly, by weight, and steers one loopback port', async (t) => {
  const { wire } = startEmbedded(t);
  const { fields, fds } = await listening(wire, { family: 'tcp6', host: '::', dual: 1 });
  const port = Number(fields['port']);
  native().attachSelector(fds[2]!, [0, 0, 0, 2]);
  const [heavy = 0, light = 0] = await spread(t, port, fds, 400);
  assert.ok(heavy + light === 400 && heavy > 240 && heavy < 360, `Expected about 300 of 400 on the heavy one, got ${heavy}`);
  for (const host of ['127.0.0.1', '::1']) {
    native().attachSelector(fds[2]!, [0], { port: 31_555, index: 2 });
    const before = native().queueState(fds[1]!).depth;
    const probe = connect({ port, host, localPort: 31_555, localAddress: host });
    await once(probe, 'connect');
    const depth = native().queueState(fds[1]!).depth;
    probe.resetAndDestroy();
    await once(probe, 'close');
    native().attachSelector(fds[2]!, [0]);
    assert.equal(depth, before + 1, `Expected the probe from ${host} on the steered socket`);
    assert.deepEqual((await spread(t, port, fds, 20, host)).slice(0, 1), [20]);
  }
});

test('through a lent socket no program can be attached', async (t) => {
  const { wire } = startEmbedded(t);
  const { fds } = await listening(wire);
  const appended = await wire.request('append', { group: 'g', slot: 1, half: 0 });
  for (const fd of [fds[0]!, fds[1]!, ...appended.fds]) assert.throws(() => native().attachSelector(fd, [1]), { code: 'EPERM' });
});

test('an address that someone listens on is refused, even where the port would be shared', async (t) => {
  const { wire } = startEmbedded(t);
  const { fields } = await listening(wire, { group: 'ours', port: 0 });
  assert.equal(failure(await wire.request('listen', address({ port: Number(fields['port']) }))), 'error EADDRINUSE');
  assert.equal(
    failure(await wire.request('listen', address({ family: 'tcp6', host: '::', dual: 1, port: Number(fields['port']) }))),
    'error EADDRINUSE',
  );

  const foreign = createServer();
  t.after(() => foreign.close());
  await once(foreign.listen(0, '127.0.0.1'), 'listening');
  assert.equal(failure(await wire.request('listen', address({ port: (foreign.address() as AddressInfo).port }))), 'error EADDRINUSE');

  // A second covet-init's group is a listener with SO_REUSEPORT of the same user: it must not be joined.
  const other = startEmbedded(t);
  const sharing = await listening(other.wire);
  assert.equal(failure(await wire.request('listen', address({ port: Number(sharing.fields['port']) }))), 'error EADDRINUSE');
  assert.equal((await wire.hello()).filter((heard) => heard.verb === 'group').length, 1, 'a refused listen leaves nothing behind');
});

test('connections that outlive a closed group do not keep its port', async (t) => {
  const { wire } = startEmbedded(t);
  const { fields, fds } = await listening(wire);
  const port = Number(fields['port']);
  await spread(t, port, fds, 5);
  assert.equal((await wire.request('close', { group: 'g' })).verb, 'ok');
  wire.close(...fds);
  await listening(wire, { port });
});

test('one half is a single socket without a program or guard', async (t) => {
  const { wire } = startEmbedded(t);
  const { fields, fds } = await listening(wire, { halves: 1 });
  assert.deepEqual([fds.length, fields['halves'], fields['a'], fields['guard']], [1, '1', '0', '-1']);
  const appended = await wire.request('append', { group: 'g', slot: 1, half: 0 });
  assert.deepEqual([appended.fds.length, appended.fields['a']], [1, '1']);
  const [first = 0, second = 0] = await spread(t, Number(fields['port']), [fds[0]!, appended.fds[0]!], 200);
  assert.ok(first > 0 && second > 0 && first + second === 200, `Expected both to be used, got ${first} and ${second}`);
});

test('what was accepted inherits TCP_NODELAY and SO_KEEPALIVE, and listeners never block', async (t) => {
  const { wire } = startEmbedded(t);
  const { fds, fields } = await listening(wire);
  const flags = Number.parseInt(/flags:\t(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fds[0]}`, 'utf8'))![1]!, 8);
  assert.equal(flags & 0o4000, 0o4000, 'O_NONBLOCK');
  assert.equal(flags & 0o2000000, 0o2000000, 'O_CLOEXEC');
  const client = connect(Number(fields['port']), '127.0.0.1');
  t.after(() => client.destroy());
  client.on('error', () => {}); // reset when its accepted end goes
  await once(client, 'connect');
  // Node has no getsockopt. Whichever of the sockets has it in its queue.
  const look = [
    'import select, socket',
    `listeners = [socket.socket(fileno=3 + i) for i in range(${fds.length})]`,
    'accepted, _ = select.select(listeners, [], [], 10)[0][0].accept()',
    'print(bool(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)), bool(accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)))',
  ].join('\n');
  const looked = execFileSync('python3', ['-c', look], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit', ...fds] });
  assert.equal(looked.trim(), 'True True');
});

test('a privileged port is refused to an ordinary user', onlyRoot, async (t) => {
  if (Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8')) <= 443)
    return t.skip('every port is unprivileged here');
  const { wire } = startEmbedded(t, { prefix: ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] });
  assert.equal(failure(await wire.request('listen', address({ port: 443 }))), 'error EACCES');
});

test('a listen request that makes no sense is refused and changes nothing', async (t) => {
  const { wire } = startEmbedded(t);
  for (const wrong of [
    { group: '' },
    { family: 'tcp5' },
    { host: 'localhost' },
    { port: 65_536 },
    { port: 'http' },
    { slot: 1_024 },
    { halves: 3 },
    { dual: 2 },
    { backlog: -1 },
  ]) {
    assert.equal(failure(await wire.request('listen', address(wrong))), 'error EINVAL', JSON.stringify(wrong));
  }
  assert.equal(failure(await wire.request('listen', address({ host: '192.0.2.1' }))), 'error EADDRNOTAVAIL');
  assert.equal((await wire.hello()).length, 1);
});

test('a Unix socket belongs to the app, is never made over a file, and goes with its group', onlyRoot, async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'app.sock');
  const unix = (fields: Record<string, string | number>): Record<string, string | number> => ({
    group: 'u',
    family: 'unix',
    path,
    backlog: 64,
    slot: 0,
    half: 0,
    halves: 1,
    ...fields,
  });
  const { wire } = startEmbedded(t);
  // The folder is root's, mode 0700.
  assert.equal(failure(await wire.request('listen', unix({ uid: 65_534, gid: 65_534 }))), 'error EACCES');
  chownSync(folder, 65_534, 65_534);
  const made = await wire.request('listen', unix({ uid: 65_534, gid: 65_534 }));
  assert.equal(made.verb, 'listening');
  assert.deepEqual([statSync(path).uid, statSync(path).gid, lstatSync(path).isSocket()], [65_534, 65_534, true]);
  assert.equal(failure(await wire.request('listen', unix({ group: 'second' }))), 'error EADDRINUSE');
  assert.equal(failure(await wire.request('listen', unix({ group: 'long', path: `/tmp/${'x'.repeat(103)}` }))), 'error ENAMETOOLONG');
  writeFileSync(join(folder, 'file'), 'mine');
  assert.equal(failure(await wire.request('listen', unix({ group: 'file', path: join(folder, 'file') }))), 'error EADDRINUSE');
  assert.equal(failure(await wire.request('append', { group: 'u', slot: 1, half: 0 })), 'error EOPNOTSUPP');
  assert.equal((await wire.request('close', { group: 'u' })).verb, 'ok');
  assert.equal(existsSync(path), false);
});

test('a socket file that someone else put in its place is left alone', async (t) => {
  const path = join(temporaryFolder(t), 'app.sock');
  const { wire } = startEmbedded(t);
  assert.equal(
    (await wire.request('listen', { group: 'u', family: 'unix', path, backlog: 64, slot: 0, half: 0, halves: 1 })).verb,
    'listening',
  );
  unlinkSync(path);
  writeFileSync(path, 'theirs');
  await wire.request('close', { group: 'u' });
  assert.equal(readFileSync(path, 'utf8'), 'theirs');
});

test('a socket is removed as its owner: a folder put in its path is not emptied by root', onlyRoot, async (t) => {
  const folder = temporaryFolder(t);
  const closed = join(folder, 'closed');
  const theirs = join(folder, 'theirs');
  for (const path of [closed, theirs]) mkdirSync(path, 0o755);
  chownSync(theirs, 65_534, 65_534);
  chmodSync(folder, 0o755);
  const { wire } = startEmbedded(t);
  const path = join(theirs, 'app.sock');
  const fields = { group: 'u', family: 'unix', path, backlog: 64, slot: 0, half: 0, halves: 1, uid: 65_534, gid: 65_534 };
  assert.equal((await wire.request('listen', fields)).verb, 'listening');
  linkSync(path, join(closed, 'app.sock'));
  renameSync(theirs, join(folder, 'moved'));
  symlinkSync(closed, theirs);
  await wire.request('close', { group: 'u' });
  assert.ok(existsSync(join(closed, 'app.sock')), 'root removed what the owner may not');
});

test('a worker is told running, with its start, and exited, with its status, until it is forgotten', async (t) => {
  const { wire } = startEmbedded(t);
  const made = await startWorker(wire, 'w', ['sh', '-c', 'echo said; read line <&0; exit 3']);
  const running = await wire.event('running', 'w');
  const exited = await wire.event('exited', 'w');
  assert.deepEqual([exited.fields['pid'], exited.fields['status']], [running.fields['pid'], String(3 << 8)]);
  assert.ok(Number(running.fields['start']) > 0);
  for (let round = 0; round < 2; round++) {
    const told = await wire.hello();
    assert.deepEqual(
      told.map((heard) => heard.verb),
      ['hello', 'worker', 'exited'],
    );
    assert.equal(told[1]?.fds.length, 5);
  }
  // Its last words are still in the pipe that covet-init keeps.
  const out = new Socket({ fd: made.fds[4]!, readable: true, writable: false });
  wire.held.delete(made.fds[4]!);
  assert.equal(String((await once(out, 'data'))[0]), 'said\n');
  out.destroy();
  assert.equal((await wire.request('forget', { key: 'w' })).verb, 'ok');
  assert.deepEqual(
    (await wire.hello()).map((heard) => heard.verb),
    ['hello'],
  );
});

test('the channel, the hand-off and both pipes join the worker to whoever is the supervisor', async (t) => {
  const { wire } = startEmbedded(t);
  const { fds } = await wire.request('worker', { key: 'w', out: '/dev/null', err: '/dev/null' });
  const [channel, channelTheirs, handoff, handoffTheirs] = fds as [number, number, number, number];
  for (const fd of fds) assert.match(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'), /flags:\t02\d{6}/, 'every descriptor is CLOEXEC');
  for (const fd of [channel, channelTheirs]) wire.held.delete(fd);
  const [near, far] = [new Socket({ fd: channel }), new Socket({ fd: channelTheirs })];
  far.write('up');
  assert.equal(String((await once(near, 'data'))[0]), 'up');
  near.destroy();
  far.destroy();
  for (const fd of [handoff, handoffTheirs]) wire.held.delete(fd);
  const [given, taken] = [new (native().PacketSocket)(handoff), new (native().PacketSocket)(handoffTheirs)];
  given.send('a connection');
  assert.equal(taken.receive(10_000)?.text, 'a connection');
  given.close();
  taken.close();
});

test('a program that cannot be run is told as failed, with the step and the reason', async (t) => {
  const { wire } = startEmbedded(t);
  await startWorker(wire, 'w', ['/no/such/program']);
  const failed = await wire.event('failed', 'w');
  assert.deepEqual([failed.fields['stage'], failed.fields['errno']], ['exec', '2']);
  assert.deepEqual(
    (await wire.hello()).map((heard) => heard.verb),
    ['hello', 'worker', 'failed'],
  );
  await startWorker(wire, 'x', ['true'], ['--cwd', '/no/such/folder']);
  assert.equal((await wire.event('failed', 'x')).fields['stage'], 'cwd');
  assert.equal(wire.has('running') || wire.has('exited'), false, 'it never ran');
});

test('a report that closes without a word is a failed spawn', async (t) => {
  const { wire } = startEmbedded(t);
  const { fds } = await wire.request('worker', { key: 'w', out: '/dev/null', err: '/dev/null' });
  wire.close(fds[8]);
  const failed = await wire.event('failed', 'w');
  assert.deepEqual([failed.fields['stage'], failed.fields['errno']], ['spawn', '0']);
});

test('a worker that ends before its report is read is told running, then exited', async (t) => {
  const { wire, child } = startEmbedded(t);
  const { fds } = await wire.request('worker', { key: 'w', out: '/dev/null', err: '/dev/null' });
  await wire.hello(); // by now covet-init has closed its copies of the worker's ends
  child.kill('SIGSTOP');
  const done = exitOf(spawnExec(['--', 'sh', '-c', 'exit 9'], fds[5]!, fds[7]!, fds[8]!));
  wire.close(fds[1], fds[3], fds[5], fds[7], fds[8]);
  await done;
  // Its end is the end of its output: both happened while covet-init was stopped.
  wire.held.delete(fds[4]!);
  await once(new Socket({ fd: fds[4]!, readable: true, writable: false }).resume(), 'end');
  child.kill('SIGCONT');
  await wire.event('running', 'w');
  assert.equal((await wire.event('exited', 'w')).fields['status'], String(9 << 8));
});

test('a worker that runs is not forgotten, and told at each hello', async (t) => {
  const { wire } = startEmbedded(t);
  await startWorker(wire, 'w', ['sleep', '1000']);
  const running = await wire.event('running', 'w');
  assert.equal(failure(await wire.request('forget', { key: 'w' })), 'error EBUSY');
  assert.equal(failure(await wire.request('worker', { key: 'w' })), 'error EEXIST');
  const told = (await wire.hello()).find((heard) => heard.verb === 'worker');
  assert.deepEqual([told?.fields['pid'], told?.fds.length], [running.fields['pid'], 5]);
  native().pidfdSignal(running.fds[0]!, 9);
  assert.equal((await wire.event('exited', 'w')).fields['status'], '9');
});

test('a note is told at each hello until it is let go of', async (t) => {
  const { wire } = startEmbedded(t);
  const notes = async () =>
    (await wire.hello()).filter((heard) => heard.verb === 'note').map(({ fields }) => [fields['key'], fields['text']]);
  assert.equal((await wire.request('note', { key: 'slot:web:1:0', text: '{"slot":0, "naïve":"100 %"}' })).verb, 'ok');
  assert.equal((await wire.request('note', { key: 'app:web', text: 'old' })).verb, 'ok');
  assert.equal((await wire.request('note', { key: 'app:web', text: 'new' })).verb, 'ok');
  assert.deepEqual(await notes(), [
    ['app:web', 'new'],
    ['slot:web:1:0', '{"slot":0, "naïve":"100 %"}'],
  ]);
  assert.equal((await wire.request('note', { key: 'app:web', text: '' })).verb, 'ok');
  assert.deepEqual(await notes(), [['slot:web:1:0', '{"slot":0, "naïve":"100 %"}']]);
  assert.equal(failure(await wire.request('note', { key: '', text: 'x' })), 'error EINVAL');
  assert.equal(failure(await wire.request('note', { key: 'k', text: 'x'.repeat(16_385) })), 'error EMSGSIZE');
});

test('a program that appears after its record was let go is not started', async (t) => {
  const folder = temporaryFolder(t);
  const { wire } = startEmbedded(t);
  const { fds } = await wire.request('worker', { key: 'w', out: '/dev/null', err: '/dev/null' });
  await wire.request('forget', { key: 'w' });
  const proof = join(folder, 'ran');
  await exitOf(spawnExec(['--', 'touch', proof], fds[5]!, fds[7]!, fds[8]!));
  wire.close(fds[5], fds[7], fds[8]);
  wire.held.delete(fds[4]!);
  await once(new Socket({ fd: fds[4]!, readable: true, writable: false }).resume(), 'end');
  assert.equal(existsSync(proof), false);
});

test('10,000 random packets are each answered, and neither memory nor descriptors grow', async (t) => {
  const { wire, child } = startEmbedded(t);
  const seed = Number(process.env['COVET_TEST_SEED'] ?? Date.now() % 1e9);
  t.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  await wire.hello();
  const before = descriptors(child.pid!);
  for (let round = 0; round < 10_000; round++) {
    wire.say(randomPacket(random));
    if (round % 100 === 99) await wire.request('forget', { key: 'nobody' });
  }
  for (const heard of await wire.hello()) {
    if (heard.verb === 'worker') await wire.request('forget', { key: heard.fields['key'] ?? '' });
    if (heard.verb === 'group') await wire.request('close', { group: heard.fields['key'] ?? '' });
  }
  assert.deepEqual(descriptors(child.pid!), before);
  if (!isSanitized) assert.ok(rssKib(child.pid!) <= RSS_KIB_MAX, `Expected at most ${RSS_KIB_MAX} KiB, got ${rssKib(child.pid!)}`);
});

test('covet-init is small, and holds the lent sockets of 300 slots', async (t) => {
  const { wire, child } = startEmbedded(t);
  const { fds } = await listening(wire);
  wire.close(...fds);
  for (let slot = 1; slot < 300; slot++) {
    const reply = await wire.request('append', { group: 'g', slot, half: 0 });
    assert.equal(reply.verb, 'appended', JSON.stringify(reply.fields));
    wire.close(...reply.fds);
  }
  const told = await wire.hello();
  assert.equal(told.length, 1 + 1 + 601);
  for (const heard of told) wire.close(...heard.fds);
  if (!isSanitized) assert.ok(rssKib(child.pid!) <= RSS_KIB_MAX, `Expected at most ${RSS_KIB_MAX} KiB, got ${rssKib(child.pid!)}`);
});

test('quit kills the workers and leaves nothing: no process, no socket file', async (t) => {
  const folder = temporaryFolder(t);
  const { wire, exit } = startEmbedded(t);
  const path = join(folder, 'app.sock');
  await wire.request('listen', { group: 'u', family: 'unix', path, backlog: 64, slot: 0, half: 0, halves: 1 });
  const { fds } = await startWorker(wire, 'w', ['sh', '-c', 'trap "" TERM; echo up; while :; do sleep 1000; done']);
  const { fields } = await wire.event('running', 'w');
  wire.held.delete(fds[4]!);
  const out = new Socket({ fd: fds[4]!, readable: true, writable: false });
  await once(out, 'data');
  const isOver = once(out, 'end');
  await wire.request('worker', { key: 'never-spawned', out: '/dev/null', err: '/dev/null' });
  wire.tell('quit', { code: 7 });
  assert.deepEqual(await exit, { code: 7, signal: null });
  await ended(fields['pid']!);
  // Its output ends when its children are gone too.
  await isOver;
  assert.equal(existsSync(path), false);
});

test('when the embedding program goes, workers are asked to end and covet-init leaves with them', async (t) => {
  const { wire, exit, hangUp } = startEmbedded(t);
  const { fds } = await startWorker(wire, 'w', ['sh', '-c', 'trap "echo asked; exit 0" TERM; echo up; while :; do sleep 0.05; done']);
  const { fields } = await wire.event('running', 'w');
  wire.held.delete(fds[4]!);
  const out = new Socket({ fd: fds[4]!, readable: true, writable: false });
  assert.equal(String((await once(out, 'data'))[0]), 'up\n');
  hangUp();
  assert.equal(String((await once(out, 'data'))[0]), 'asked\n');
  assert.deepEqual(await exit, { code: 0, signal: null });
  await ended(fields['pid']!);
});

function rssKib(pid: number): number {
  return Number.parseInt(status(pid)['VmRSS'] ?? '0', 10);
}

/** Half noise, half nearly right; `quit` is left out, it would be obeyed. */
function randomPacket(random: () => number): string {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const noise = (length: number): string =>
    Array.from({ length: Math.floor(random() * length) }, () => String.fromCharCode(1 + Math.floor(random() * 126))).join('');
  if (random() < 0.3) return noise(400) || 'x';
  if (random() < 0.05) return `listen 900000 host=${'%'.repeat(Math.floor(random() * 60_000))}`;
  const value = (): string =>
    pick([
      '',
      '0',
      '1',
      '2',
      '-1',
      '99999999999999999999',
      '%',
      '%zz',
      '%00',
      'tcp4',
      'tcp6',
      'unix',
      '127.0.0.1',
      '::',
      'g',
      noise(20).replaceAll(' ', '_'),
    ]);
  const keys = [
    'group',
    'family',
    'host',
    'port',
    'dual',
    'backlog',
    'slot',
    'half',
    'index',
    'halves',
    'note',
    'uid',
    'gid',
    'key',
    'text',
    'min',
    'max',
  ];
  const pairs = Array.from({ length: Math.floor(random() * 12) }, () => `${pick([...keys, noise(5).replaceAll(' ', '_')])}=${value()}`);
  return [
    pick(['listen', 'append', 'moved', 'close', 'worker', 'note', 'forget', 'ready', 'hello', '', 'QUIT', noise(6)]),
    String(900_000 + Math.floor(random() * 100)),
    ...pairs,
  ].join(' ');
}
