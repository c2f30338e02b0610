/** Processes: a pidfd names one process for ever, execve begins with a clean slate, and probes tell what the kernel really allows. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import { availableParallelism, constants } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { binary, native } from '../../native/index.ts';
import { startDaemon } from './init-harness.ts';
import { DEADLINE_MS, isCloexec, openFds, systemError } from './pipe.ts';

const addon = native();
const timeout = DEADLINE_MS;
const { SIGTERM, SIGPIPE, SIGXFSZ } = constants.signals;

/** A field of /proc/<pid>/status. */
function status(field: string, text = readFileSync('/proc/self/status', 'utf8')): string {
  return new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? '';
}

/** Runs JavaScript in a process of its own; `native` is the addon. */
function runScript(script: string, stdio: ('ignore' | 'pipe' | number)[] = ['ignore', 'pipe', 'pipe']) {
  const prelude = `const native = require(${JSON.stringify(binary('covet.node'))});`;
  return spawnSync(process.execPath, ['-e', prelude + script], { encoding: 'utf8', stdio, timeout });
}

test('the lock of a covet-init that lives is seen from outside, and looking leaves none', { timeout }, async (t) => {
  const daemon = await startDaemon(t);
  const path = join(daemon.folder, 'lock');
  await daemon.supervisor();
  assert.equal(addon.isLocked(path), true);
  daemon.child.kill('SIGKILL');
  await daemon.exit;
  assert.equal(addon.isLocked(path), false);
  assert.equal(addon.isLocked(path), false);
  assert.throws(() => addon.isLocked(`${path}-absent`), systemError('ENOENT', 'open'));
});

test('a signal by pidfd reaches its process, and says ESRCH once that is gone', { timeout }, async () => {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  assert.ok(child.pid !== undefined);
  const pidfd = addon.pidfdOpen(child.pid);
  assert.ok(isCloexec(pidfd));
  addon.pidfdSignal(pidfd, 0);
  const exited = once(child, 'exit');
  addon.pidfdSignal(pidfd, SIGTERM);
  assert.deepEqual(await exited, [null, 'SIGTERM']);
  assert.throws(() => addon.pidfdSignal(pidfd, 0), systemError('ESRCH', 'pidfd_send_signal'));
  closeSync(pidfd);
  assert.throws(() => addon.pidfdOpen(child.pid ?? -1), systemError('ESRCH', 'pidfd_open'));
  assert.throws(() => addon.pidfdSignal(pidfd, 0), systemError('EBADF', 'pidfd_send_signal'));
  assert.throws(() => addon.pidfdOpen(0), /Expected `pid` to be an integer from 1/);
});

test('affinity is the list of CPUs that the kernel tells', { timeout }, async () => {
  const listed = status('Cpus_allowed_list')
    .split(',')
    .flatMap((range) => {
      const [from = 0, to = from] = range.split('-').map(Number);
      return Array.from({ length: to - from + 1 }, (_, i) => from + i);
    });
  assert.deepEqual(addon.affinity(0), listed);
  assert.ok(listed.length >= availableParallelism());
  const [first = 0] = listed;
  const child = spawn('taskset', ['-c', `${first}`, 'sh', '-c', 'echo on; read line'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  assert.deepEqual(addon.affinity(child.pid ?? -1), [first]);
  child.stdin.end();
  await once(child, 'exit');
  assert.throws(() => addon.affinity(child.pid ?? -1), systemError('ESRCH', 'sched_getaffinity'));
});

test('execve keeps the pid and the named descriptors, and nothing else of this process', { timeout }, () => {
  const kept = openSync('/dev/null', 'r');
  const result = runScript(
    `const fs = require('node:fs');
    const kept = fs.openSync('/dev/zero', 'r');
    for (let i = 0; i < 5; i++) native.setCloexec(fs.openSync('/dev/null', 'r'), false);
    console.log(process.pid, kept);
    native.execve('/bin/sh', ['sh', '-c', 'echo $$; echo "$GIVEN-$PATH-$HOME"; ls -l /proc/$$/fd; exec grep Sig /proc/self/status', 'x'], ['GIVEN=value', 'PATH=/usr/bin:/bin'], [kept]);`,
    ['ignore', 'pipe', 'inherit' as 'pipe', kept],
  );
  closeSync(kept);
  assert.equal(result.status, 0);
  const [first = '', pid, environment, ...rest] = result.stdout.split('\n');
  const [expectedPid, expectedFd] = first.split(' ');
  assert.equal(pid, expectedPid);
  assert.equal(environment, 'value-/usr/bin:/bin-');
  const fds = rest.flatMap((line) => /(\d+) -> (.*)/.exec(line)?.slice(1, 3).join(' ') ?? []);
  assert.deepEqual(
    fds.filter((fd) => !/^[012] /.test(fd)),
    [`${expectedFd} /dev/zero`],
  );
  assert.equal(Number.parseInt(status('SigIgn', rest.join('\n')), 16), 0);
  assert.equal(Number.parseInt(status('SigBlk', rest.join('\n')), 16), 0);
});

test('a failed execve throws with the path, and this process runs on as before', () => {
  const ignored = BigInt(`0x${status('SigIgn')}`);
  assert.ok((ignored & (1n << BigInt(SIGPIPE - 1))) !== 0n && (ignored & (1n << BigInt(SIGXFSZ - 1))) !== 0n);
  const blocked = status('SigBlk');
  assert.throws(
    () => addon.execve('/nonexistent/program', ['program'], [], []),
    (error: NodeJS.ErrnoException) => systemError('ENOENT', 'execve')(error) && error.path === '/nonexistent/program',
  );
  assert.throws(() => addon.execve('/etc', ['etc'], [], []), systemError('EACCES', 'execve'));
  assert.throws(() => addon.execve('/bin/true', ['true'], [], [999_999]), systemError('EBADF'));
  assert.throws(() => addon.execve('/bin/true', ['nul\0byte'], [], []), /Expected `argv` to be a string without a NUL byte/);
  assert.equal(BigInt(`0x${status('SigIgn')}`), ignored);
  assert.equal(status('SigBlk'), blocked);
  assert.ok([...openFds().keys()].every((fd) => fd < 3 || isCloexec(fd)));
});

test('probe tries each feature and leaves nothing behind', () => {
  const before = openFds().size;
  const probe = addon.probe();
  assert.equal(openFds().size, before);
  assert.deepEqual(Object.keys(probe).sort(), ['ebpf', 'ioUring', 'pidfd', 'pidfdInfoExit', 'ptraceScope', 'reuseportBpf']);
  for (const verdict of [probe.reuseportBpf, probe.ebpf, probe.ioUring, probe.pidfd, probe.pidfdInfoExit])
    assert.match(verdict, /^(ok|E[A-Z]+)$/);
  assert.equal(probe.reuseportBpf, 'ok');
  assert.equal(probe.pidfd, 'ok');
  assert.ok(Number.isInteger(probe.ptraceScope) && probe.ptraceScope >= 0);
  assert.match(readlinkSync('/proc/self/exe'), /node/);
});

test('probe tells a refusal by its code', { timeout }, (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root, to give it up');
  // nobody may not load eBPF where unprivileged_bpf_disabled is set.
  if (readFileSync('/proc/sys/kernel/unprivileged_bpf_disabled', 'utf8').trim() === '0') return t.skip('anyone may load eBPF here');
  const result = runScript('process.setgid(65534); process.setuid(65534); console.log(native.probe().ebpf)');
  assert.equal(result.stdout.trim(), 'EPERM', result.stderr);
});
