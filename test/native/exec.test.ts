/** covet-exec: what a program finds when it begins, and what is reported when it cannot. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { availableParallelism, constants } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { native } from '../../native/index.ts';
import { exitOf, isSanitized, temporaryFolder, tested, textOf } from './init-harness.ts';

const onlyRoot = { skip: process.getuid?.() !== 0 && 'needs root' };

interface Outcome {
  readonly code: number | null;
  readonly report: string;
  readonly out: string;
  readonly err: string;
}

/** Runs covet-exec to the end of the program's output; the program's descriptors above 2 are `fds`, the report comes after them. */
async function run(
  options: readonly string[],
  program: readonly string[],
  { fds = [] as readonly number[], env = process.env as Record<string, string> } = {},
): Promise<Outcome> {
  const [ours, theirs] = native().socketPair('stream');
  const report = 3 + fds.length;
  const args = ['--report', String(report), '--keep-max', String(report - 1), ...options, '--', ...program];
  const child: ChildProcess = spawn(tested('covet-exec'), args, { stdio: ['ignore', 'pipe', 'pipe', ...fds, theirs], env });
  native().closeFd(theirs);
  const texts = Promise.all([textOf(new Socket({ fd: ours })), textOf(child.stdout as Socket), textOf(child.stderr as Socket)]);
  const { code } = await exitOf(child);
  const [reported, out, err] = await texts;
  return { code, report: reported, out, err };
}

/** /proc/self/status of a program run with the options. */
async function statusOf(options: readonly string[]): Promise<Record<string, string>> {
  const { out, report } = await run(options, ['cat', '/proc/self/status']);
  assert.match(report, /^pid \d+\n$/);
  return Object.fromEntries(
    out
      .trim()
      .split('\n')
      .map((line) => line.split(':\t') as [string, string]),
  );
}

test('the program has the reported pid, a session of its own, and is told both names of it', async () => {
  const { code, report, out } = await run(
    ['--listen-fds', '2'],
    ['sh', '-c', 'echo $$ $COVET_WORKER $LISTEN_PID $LISTEN_FDS $(ps -o sid= -p $$)'],
  );
  const pid = /^pid (\d+)\n$/.exec(report)?.[1];
  assert.equal(out.trim(), `${pid} ${pid} ${pid} 2 ${pid}`);
  assert.equal(code, 0);
});

test('without sockets to take over there is no LISTEN_PID', async () => {
  assert.equal((await run([], ['sh', '-c', 'echo "<$LISTEN_PID$LISTEN_FDS>"'])).out, '<>\n');
});

test('the program is in its cgroup before it begins, and is not started when it cannot be', async (t) => {
  // Stands for cgroup.procs: 0 is whoever writes.
  const procs = join(temporaryFolder(t), 'cgroup.procs');
  writeFileSync(procs, '');
  const { report, out } = await run(['--cgroup', procs], ['cat', procs]);
  assert.match(report, /^pid \d+\n$/);
  assert.equal(out, '0');
  assert.deepEqual(await run(['--cgroup', `${procs}-of-nobody`], ['echo', 'here']), {
    code: 0,
    report: `error cgroup ${constants.errno.ENOENT}\n`,
    out: '',
    err: '',
  });
});

test('covet-exec leaves at once, whatever the program does', async () => {
  const { code, out } = await run([], ['sh', '-c', 'echo; exit 3']);
  assert.deepEqual([code, out], [0, '\n']);
});

test('only the listed descriptors reach the program, holes or not', async (t) => {
  const kept = openSync('/dev/null', 'r');
  t.after(() => closeSync(kept));
  // One that is inherited from us by accident, far above: Node's own sweep would stop at the first hole.
  const stray = openSync('/dev/zero', 'r');
  native().setCloexec(stray, false);
  t.after(() => closeSync(stray));
  const { out } = await run([], ['sh', '-c', 'ls -l /proc/$$/fd'], { fds: [kept, kept] });
  const open = [...out.matchAll(/ (\d+) -> (\S+)/g)].map(([, fd, to]) => [Number(fd), to]);
  assert.deepEqual(
    open.map(([fd]) => fd),
    [0, 1, 2, 3, 4],
  );
  assert.equal(
    open.some(([, to]) => to === '/dev/zero'),
    false,
  );
});

test('a report descriptor among the kept ones is not kept', async () => {
  const [ours, theirs] = native().socketPair('stream');
  const child = spawn(tested('covet-exec'), ['--report', '3', '--keep-max', '5', '--', 'sh', '-c', 'ls /proc/$$/fd'], {
    stdio: ['ignore', 'pipe', 'inherit', theirs],
  });
  native().closeFd(theirs);
  const [report, out] = await Promise.all([textOf(new Socket({ fd: ours })), textOf(child.stdout as Socket)]);
  assert.match(report, /^pid \d+\n$/);
  assert.deepEqual(out.trim().split('\n'), ['0', '1', '2']);
});

test('no signal is blocked or ignored', { skip: isSanitized && 'the sanitizer has handlers' }, async () => {
  const [ours, theirs] = native().socketPair('stream');
  // env(1) ignores and blocks some, as a careless parent does; Node itself ignores SIGPIPE.
  const child = spawn(
    'env',
    [
      '--ignore-signal=PIPE,HUP,USR1',
      '--block-signal=TERM,CHLD',
      tested('covet-exec'),
      '--report',
      '3',
      '--keep-max',
      '2',
      '--',
      'cat',
      '/proc/self/status',
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit', theirs],
    },
  );
  native().closeFd(theirs);
  const [, out] = await Promise.all([textOf(new Socket({ fd: ours })), textOf(child.stdout as Socket)]);
  assert.match(out, /SigBlk:\t0+\nSigIgn:\t0+\n/);
});

test('an app that runs as a user has no way back: ids, groups and capabilities are that user’s', onlyRoot, async () => {
  const status = await statusOf(['--uid', '65534', '--gid', '65533', '--groups', '100,27']);
  assert.deepEqual(
    [status['Uid'], status['Gid'], status['Groups']?.trim()],
    ['65534\t65534\t65534\t65534', '65533\t65533\t65533\t65533', '27 100'],
  );
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) assert.match(status[set]!, /^0+$/, set);
  const alone = await statusOf(['--uid', '65534', '--gid', '65534']);
  assert.equal(alone['Groups']?.trim(), '', 'root’s groups are not inherited');
});

test('an ordinary user starts workers as itself, and as nobody else', onlyRoot, async () => {
  const as = async (uid: string): Promise<string> => {
    const { out } = await run(
      [],
      [
        'setpriv',
        '--reuid=65534',
        '--regid=65534',
        '--clear-groups',
        tested('covet-exec'),
        '--report',
        '1',
        '--keep-max',
        '2',
        '--uid',
        uid,
        '--gid',
        uid,
        '--',
        'true',
      ],
    );
    return out;
  };
  assert.match(await as('65534'), /^pid \d+\n$/);
  assert.match(await as('1000'), /^error groups 1\n$/);
});

test('no_new_privs, files and CPUs are limited as asked', async () => {
  assert.equal((await statusOf([]))['NoNewPrivs'], '0');
  const last = availableParallelism() - 1;
  const status = await statusOf(['--no-new-privs', '--cpus', String(last)]);
  assert.deepEqual([status['NoNewPrivs'], status['Cpus_allowed_list']], ['1', String(last)]);
  assert.equal((await run(['--nofile', '333'], ['sh', '-c', 'ulimit -Sn'])).out, '333\n');
});

test('the program is found by PATH and run in its folder', async (t) => {
  const folder = temporaryFolder(t);
  assert.equal((await run(['--cwd', folder], ['pwd'])).out, `${folder}\n`);
});

test('what fails is reported by its step and errno, and nothing is run', async () => {
  const cases: [string[], string[], RegExp][] = [
    [[], ['/no/such/program'], /^pid \d+\nerror exec 2\n$/],
    [[], ['no-such-program-in-path'], /^pid \d+\nerror exec 2\n$/],
    [[], ['/etc/passwd'], /^pid \d+\nerror exec 13\n$/],
    [['--cwd', '/no/such/folder'], ['true'], /^error cwd 2\n$/],
    [['--cpus', '1023'], ['true'], /^error cpus 22\n$/],
    [['--nofile', '99999999999'], ['true'], /^error nofile 1\n$/],
  ];
  for (const [options, program, expected] of cases) {
    const { code, report, out, err } = await run(options, program, { env: { PATH: '/usr/bin:/bin' } });
    assert.match(report, expected);
    assert.deepEqual([code, out, err], [0, '', '']);
  }
});

test('a program whose report nobody reads is not started', async (t) => {
  const proof = join(temporaryFolder(t), 'ran');
  const [ours, theirs] = native().socketPair('stream');
  native().closeFd(ours);
  const child = spawn(tested('covet-exec'), ['--report', '3', '--keep-max', '2', '--', 'touch', proof], {
    stdio: ['ignore', 'pipe', 'inherit', theirs],
  });
  native().closeFd(theirs);
  await textOf(child.stdout as Socket);
  assert.equal(existsSync(proof), false);
});

test('a command line that makes no sense is refused, on the report too where there is one', async () => {
  for (const wrong of [
    ['--cpus', '0,'],
    ['--cpus', '3-1'],
    ['--uid', '-1', '--gid', '0'],
    ['--uid', '5'],
    ['--groups', '1,'],
    ['--nofile', '1x'],
    ['--frobnicate'],
  ]) {
    const { code, report, err } = await run(wrong, ['true']);
    assert.deepEqual([code, report], [2, 'error arguments 22\n'], wrong.join(' '));
    assert.match(err, /^covet-exec: .+\.\n$/);
  }
  const { code, report } = await run([], []);
  assert.deepEqual([code, report], [2, 'error arguments 22\n']);
});

test('covet-exec is a static binary, started in a millisecond and not worth a download', { skip: isSanitized && 'not static' }, () => {
  assert.ok(readFileSync(tested('covet-exec')).length < 1_000_000);
});
