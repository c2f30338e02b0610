/** covet-init as PID 1 or a daemon sees its day: it starts the supervisor, outlives it, and ends what is left. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../promises/eventually.ts';
import {
  DEADLINE_MS,
  descriptors,
  ended,
  exitOf,
  type Heard,
  type Relay,
  startDaemon,
  status,
  temporaryFolder,
  tested,
  textOf,
} from './init-harness.ts';

async function worker(supervisor: Relay, key: string, ...program: string[]): Promise<void> {
  return workerInto({ out: '/dev/null', err: '/dev/null' }, supervisor, key, ...program);
}

/** `files`: where its lines go while there is no supervisor. */
async function workerInto(files: { out: string; err: string }, supervisor: Relay, key: string, ...program: string[]): Promise<void> {
  await supervisor.wire.request('worker', { key, ...files });
  supervisor.spawn('--', ...program);
}

async function quit(supervisor: Relay, exit: Promise<{ code: number | null }>, code = 0): Promise<void> {
  supervisor.wire.tell('quit', { code });
  assert.equal((await exit).code, code);
}

test('whoever started covet-init is told ready when the supervisor is, and no sooner', async (t) => {
  const { supervisor, ready, exit } = await startDaemon(t);
  const first = await supervisor();
  assert.equal((await first.wire.request('ready')).verb, 'ok');
  assert.equal(await ready, 'ready\n');
  await quit(first, exit, 3);
});

test('the supervisor inherits its wire, its log and nothing else, with no signal blocked or ignored', async (t) => {
  const folder = temporaryFolder(t);
  const log = join(folder, 'supervisor.log');
  const program = ['sh', '-c', 'ls -l /proc/$$/fd; exec grep Sig /proc/self/status'];
  const { ready } = await startDaemon(t, { args: ['--log', log], program });
  assert.equal(await ready, `error supervisor exited (code 0) before it was ready; see ${log}\n`);
  const text = readFileSync(log, 'utf8');
  assert.deepEqual(
    [...text.matchAll(/ (\d+) -> (\S+)/g)].map(([, fd, to]) => [fd, to!.replace(/\[\d+\]/, '')]),
    [
      ['0', '/dev/null'],
      ['1', log],
      ['2', log],
      ['3', 'socket:'],
    ],
  );
  assert.match(text, /SigBlk:\t0+\n/);
  assert.match(text, /SigIgn:\t0+\n/);
  assert.equal(statSync(log).mode & 0o777, 0o600);
});

test('a supervisor that is killed is replaced at once and hears of everything, ends of workers included', async (t) => {
  const { supervisor, child, exit } = await startDaemon(t);
  const first = await supervisor();
  await first.wire.request('ready');
  assert.equal(
    (
      await first.wire.request('listen', {
        group: 'g',
        family: 'tcp4',
        host: '127.0.0.1',
        port: 0,
        dual: 0,
        backlog: 64,
        slot: 0,
        half: 0,
        halves: 2,
      })
    ).verb,
    'listening',
  );
  await worker(first, 'stays', 'sleep', '1000');
  await worker(first, 'goes', 'sleep', '1000');
  const stays = await first.wire.event('running', 'stays');
  const goes = await first.wire.event('running', 'goes');
  assert.equal(status(stays.fields['pid']!)['PPid'], String(child.pid), 'a worker is covet-init’s child');

  process.kill(first.pid, 'SIGKILL');
  process.kill(Number(goes.fields['pid']), 'SIGKILL');
  const second = await supervisor();
  const told = await second.wire.hello();
  assert.equal(told[0]?.fields['resumed'], '1', 'a supervisor before this one was ready');
  assert.equal(told[0]?.fields['deaths'], '1');
  const verbs = told.map((heard) => heard.verb).filter((verb) => verb !== 'exited');
  assert.deepEqual(verbs, ['hello', 'group', 'member', 'member', 'member', 'worker', 'worker']);
  const kept = told.find((heard) => heard.fields['key'] === 'stays');
  assert.deepEqual([kept?.fields['pid'], kept?.fields['start'], kept?.fds.length], [stays.fields['pid'], stays.fields['start'], 5]);
  const end = told.find((heard) => heard.verb === 'exited') ?? (await second.wire.event('exited', 'goes'));
  assert.deepEqual([end.fields['pid'], end.fields['status']], [goes.fields['pid'], '9']);
  await quit(second, exit);
  await ended(stays.fields['pid']!);
});

test('while there is no supervisor a worker’s whole lines are written to its files, and it never waits for one', async (t) => {
  const { supervisor, exit } = await startDaemon(t);
  const folder = temporaryFolder(t);
  const [out, err] = [join(folder, 'out'), join(folder, 'err')];
  const first = await supervisor();
  await first.wire.request('ready');
  // Far more than a pipe holds, in pieces that end inside lines; then a line that has no end yet.
  const script = `for (let i = 1; i <= 40000; i++) { const line = 'line ' + i + '\\n'; fs.writeSync(1, line.slice(0, 3)); fs.writeSync(1, line.slice(3)); }
    fs.writeSync(2, 'done\\n'); fs.writeSync(1, 'no end'); setInterval(() => {}, 1e6);`;
  await workerInto({ out, err }, first, 'w', process.execPath, '-e', script);
  const { fields } = await first.wire.event('running', 'w');
  process.kill(first.pid, 'SIGKILL');
  const second = await supervisor();
  await eventually('the worker to be through', () => existsSync(err) && readFileSync(err, 'utf8') === 'done\n');
  const expected = Array.from({ length: 40_000 }, (_, i) => `line ${i + 1}\n`).join('');
  await eventually('every whole line to be written', () => readFileSync(out, 'utf8') === expected);
  await second.wire.hello();
  assert.equal(readFileSync(out, 'utf8'), expected, 'the rest is left to the supervisor');
  process.kill(second.pid, 'SIGKILL');
  const third = await supervisor();
  process.kill(Number(fields['pid']), 'SIGKILL');
  await eventually('the last words of a worker that ended', () => readFileSync(out, 'utf8') === `${expected}no end`);
  await third.wire.hello();
  assert.deepEqual([statSync(out).mode & 0o777, statSync(err).mode & 0o777], [0o600, 0o600]);
  await quit(third, exit);
});

test('another covet-init takes its place in the same process, and nobody notices', async (t) => {
  const { supervisor, child, exit, folder } = await startDaemon(t);
  const first = await supervisor();
  await first.wire.request('ready');
  const address = { family: 'tcp4', host: '127.0.0.1', port: 0, dual: 0, backlog: 64, slot: 0, half: 1, halves: 2, note: '{"a":1}' };
  const { fields: listening } = await first.wire.request('listen', { group: 'g', ...address });
  const path = join(folder, 'app.sock');
  await first.wire.request('listen', { group: 'u', family: 'unix', path, backlog: 64, slot: 0, half: 0, halves: 1 });
  await first.wire.request('note', { key: 'app:web', text: '100 % naïve' });
  await worker(first, 'runs', 'sleep', '1000');
  await worker(first, 'ended', 'sh', '-c', 'exit 7');
  await first.wire.request('worker', { key: 'made', out: '/dev/null', err: '/dev/null' });
  const { fields } = await first.wire.event('running', 'runs');
  await first.wire.event('exited', 'ended');
  const before = await first.wire.hello();
  const held = descriptors(child.pid!);

  const copy = join(folder, 'covet-init');
  copyFileSync(tested('covet-init'), copy);
  assert.equal((await first.wire.request('replace', { path: copy })).verb, 'ok');
  assert.equal(readlinkSync(`/proc/${child.pid}/exe`), copy);
  assert.equal(status(child.pid!)['PPid'], String(process.pid), 'it is the same process');
  await first.wire.hello(); // by then it has closed its record
  assert.deepEqual(descriptors(child.pid!).length, held.length, 'nothing is lost and nothing is left');
  const texts = (told: readonly Heard[]) =>
    told.filter(({ verb }) => verb !== 'hello').map(({ verb, fields: of, fds }) => ({ verb, of, fds: fds.length }));
  assert.deepEqual(texts(await first.wire.hello()), texts(before));
  const client = connect(Number(listening['port']), '127.0.0.1');
  await once(client, 'connect');
  client.destroy();

  process.kill(Number(fields['pid']), 'SIGTERM');
  assert.equal((await first.wire.event('exited', 'runs')).fields['status'], '15', 'it is still the parent of the workers');
  const second = spawn(tested('covet-init'), ['--lock', join(folder, 'lock'), '--', 'true'], { stdio: 'ignore' });
  assert.equal((await exitOf(second)).code, 1, 'it still holds the lock');
  process.kill(first.pid, 'SIGKILL');
  const next = await supervisor();
  await quit(next, exit);
  assert.equal(existsSync(path), false, 'the socket file is still its own to remove');
});

test('a covet-init that cannot be run, or cannot read what is held, does not take the place', async (t) => {
  const { supervisor, child, exit, folder } = await startDaemon(t);
  const first = await supervisor();
  await worker(first, 'runs', 'sleep', '1000');
  const { fields } = await first.wire.event('running', 'runs');
  await first.wire.hello(); // by then it has closed its record
  const held = descriptors(child.pid!);
  for (const path of [join(folder, 'absent'), '/bin/false', '']) {
    for (const verb of ['check', 'replace']) {
      const reply = await first.wire.request(verb, { path });
      assert.equal(`${reply.verb} ${reply.fields['code']}`, path === '' ? 'error EINVAL' : 'error ENOEXEC');
    }
  }
  assert.equal((await first.wire.request('check', { path: tested('covet-init') })).verb, 'ok');
  await first.wire.hello(); // by then it has let go of what it showed
  assert.deepEqual(descriptors(child.pid!), held);
  process.kill(Number(fields['pid']), 'SIGKILL');
  assert.equal((await first.wire.event('exited', 'runs')).fields['status'], '9');
  await quit(first, exit);
});

test('a supervisor ends for its successor; if that fails before it is ready, the one before it goes on', async (t) => {
  const { supervisor, exit, said } = await startDaemon(t);
  const first = await supervisor();
  await first.wire.request('ready');
  assert.equal((await first.wire.request('program', { arg0: 'sh', arg1: '-c', arg2: 'exit 3' })).verb, 'ok');
  process.kill(first.pid, 'SIGKILL');
  await said(/The new supervisor, exit 3, exited \(code 3\) before it was ready/);
  const second = await supervisor();
  assert.equal((await second.wire.hello())[0]?.fields['deaths'], '0', 'neither end is a death');
  assert.equal((await second.wire.request('program', {})).fields['code'], 'EINVAL');
  await quit(second, exit);
});

test('orphans of a worker are reaped and never taken for it', async (t) => {
  const { supervisor, child, exit } = await startDaemon(t);
  const first = await supervisor();
  await worker(first, 'w', 'sh', '-c', '(sleep 0.01; exit 5) & (exit 6) & exec sleep 1000');
  const { fields } = await first.wire.event('running', 'w');
  for (let i = 0; i < 20; i++) {
    await worker(first, `parent-${i}`, 'sh', '-c', 'sleep 0.0$$ & exit 0');
    assert.equal((await first.wire.event('exited', `parent-${i}`)).fields['status'], '0');
  }
  process.kill(Number(fields['pid']), 'SIGKILL');
  assert.equal((await first.wire.event('exited', 'w')).fields['status'], '9');
  // All of them end within milliseconds; then the supervisor is the only child, zombies included.
  const until = Date.now() + DEADLINE_MS;
  const children = (): string => readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim();
  while (children() !== String(first.pid)) {
    assert.ok(Date.now() < until, `Expected only ${first.pid}, got ${children()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await quit(first, exit);
});

test('signals are passed on, a second one too, and decided alone only when nobody is there', async (t) => {
  const { supervisor, child, exit } = await startDaemon(t);
  const first = await supervisor();
  await first.wire.request('ready');
  for (const name of ['SIGHUP', 'SIGTERM', 'SIGINT', 'SIGTERM'] as const) {
    child.kill(name);
    assert.equal((await first.wire.event('signal')).fields['name'], name);
  }
  // It died over the signal: the next supervisor is told of it, or a stop would be lost.
  process.kill(first.pid, 'SIGKILL');
  const second = await supervisor();
  await second.wire.hello();
  assert.equal((await second.wire.event('signal')).fields['name'], 'SIGTERM');
  await quit(second, exit);
});

test('SIGTERM between two supervisors ends the workers and covet-init', async (t) => {
  const { supervisor, child, exit, said } = await startDaemon(t);
  const first = await supervisor();
  await first.wire.request('ready');
  await worker(first, 'w', 'sleep', '1000');
  const { fields } = await first.wire.event('running', 'w');
  // One that was killed young is followed after a pause. On a slow machine it may have grown old enough for none: then once more.
  for (let next: Relay | null = first; next !== null;) {
    process.kill(next.pid, 'SIGKILL');
    await said(/restarting in \d+ ms/);
    child.kill('SIGTERM');
    next = await Promise.race([exit.then(() => null), supervisor().catch(() => null)]);
  }
  assert.deepEqual(await exit, { code: 0, signal: null });
  await ended(fields['pid']!);
});

test('in the foreground a supervisor that dies takes its workers with it and says so by 125', async (t) => {
  const { supervisor, exit } = await startDaemon(t, { args: ['--once'] });
  const first = await supervisor();
  await first.wire.request('ready');
  await worker(first, 'w', 'sleep', '1000');
  const { fields } = await first.wire.event('running', 'w');
  process.kill(first.pid, 'SIGKILL');
  assert.deepEqual(await exit, { code: 125, signal: null });
  await ended(fields['pid']!);
});

test('a worker that ignores SIGTERM is killed five seconds later', async (t) => {
  const { supervisor, exit } = await startDaemon(t, { args: ['--once'] });
  const first = await supervisor();
  await first.wire.request('ready');
  await worker(first, 'w', 'sh', '-c', 'trap "" TERM; while :; do sleep 1000; done');
  const { fields } = await first.wire.event('running', 'w');
  const began = Date.now();
  process.kill(first.pid, 'SIGKILL');
  assert.equal((await exit).code, 125);
  await ended(fields['pid']!);
  // The shell may not have set its trap yet when SIGTERM came; then it was quicker.
  assert.ok(Date.now() - began < 9_000, `Expected about 5 s, took ${Date.now() - began} ms`);
});

test('a supervisor that cannot be run, or dies before it is ready, is told to whoever waits', async (t) => {
  const missing = await startDaemon(t, { program: ['/no/such/supervisor'] });
  assert.equal(await missing.ready, 'error Cannot run /no/such/supervisor: No such file or directory (ENOENT)\n');
  assert.equal((await missing.exit).code, 1);
  const short = await startDaemon(t, { program: ['sh', '-c', 'kill -KILL $$'] });
  assert.equal(await short.ready, 'error supervisor exited (signal 9 (SIGKILL)) before it was ready; see its output\n');
  assert.equal((await short.exit).code, 1);
});

test('a second covet-init of the same home names the first and leaves it alone', async (t) => {
  const { supervisor, child, exit, folder } = await startDaemon(t);
  const first = await supervisor();
  assert.equal(readFileSync(join(folder, 'lock'), 'utf8'), `${child.pid}\n`);
  const second = spawn(tested('covet-init'), ['--ready-fd', '3', '--lock', join(folder, 'lock'), '--', 'true'], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  const [end, stderr, ready] = await Promise.all([exitOf(second), textOf(second.stderr as Socket), textOf(second.stdio[3] as Socket)]);
  assert.deepEqual(
    [end.code, stderr, ready],
    [1, `covet-init: already running as pid ${child.pid}\n`, `error already running as pid ${child.pid}\n`],
  );
  assert.equal((await first.wire.hello())[0]?.fields['pid'], String(child.pid));
  await quit(first, exit);
});

test('what leaks into covet-init is closed there', async (t) => {
  const folder = temporaryFolder(t);
  const leak = join(folder, 'leak');
  const child = spawn(
    'sh',
    [
      '-c',
      `exec 9>${leak} "$0" "$@"`,
      tested('covet-init'),
      '--lock',
      join(folder, 'lock'),
      '--once',
      '--',
      'sh',
      '-c',
      'echo up; exec sleep 1000',
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const open = descriptors(child.pid!).map((fd) => readlinkSync(`/proc/${child.pid}/fd/${fd}`));
  assert.equal(open.includes(leak), false, open.join(' '));
  const supervisor = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim();
  process.kill(Number(supervisor), 'SIGKILL');
  assert.equal((await exitOf(child)).code, 125);
});

test('a supervisor that stops reading is replaced', async (t) => {
  const { supervisor, child, exit, said } = await startDaemon(t);
  const first = await supervisor();
  await first.wire.request('ready');
  process.kill(first.pid, 'SIGSTOP');
  // Each is one packet to a supervisor that takes none. Signals of one kind merge, so they are sent until covet-init has had enough: what
  // the socket holds, and 4,096 more.
  let isCutOff = false;
  const cutOff = said(/The supervisor is cut off \(it leaves its packets unread\), killing it\./).then(() => (isCutOff = true));
  while (!isCutOff) {
    for (let i = 0; i < 200; i++) child.kill('SIGHUP');
    await Promise.race([cutOff, new Promise((resolve) => setImmediate(resolve))]);
  }
  const second = await supervisor();
  await second.wire.hello();
  await quit(second, exit);
});

test('a command line that makes no sense is refused', async () => {
  for (const args of [
    [],
    ['--lock', '/tmp/x'],
    ['--', 'true'],
    ['--ready-fd', 'x', '--lock', '/tmp/x', '--', 'true'],
    ['--frobnicate'],
    ['--supervisor-fd', '9', '--', 'true'],
  ]) {
    const child = spawn(tested('covet-init'), args, { stdio: 'ignore' });
    assert.equal((await exitOf(child)).code, 2, args.join(' '));
  }
});
