/**
 * The bin as it is installed (dist/covet-pm.cjs), fast path and full CLI alike, against a control server of this test: what goes to
 * stdout, what to stderr, and the exit code.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { packageRoot } from '../../../native/index.ts';
import { eventually } from '../../promises/eventually.ts';
import { FakeSupervisor, type Peer } from '../fake-supervisor.ts';
import type { DoctorView } from '../../../supervisor/protocol/operations.ts';
import { app, describeView, list, stopView } from '../views.ts';

const BIN = join(packageRoot(), 'dist', 'covet-pm.cjs');
const NOBODY = 65_534;
/** A command that takes longer hangs. */
const COMMAND_MS = 30_000;

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(
  home: string,
  argv: readonly string[],
  options: { env?: Record<string, string>; asNobody?: boolean; stdout?: number } = {},
): ChildProcess {
  const env = { PATH: process.env['PATH'] ?? '', COVET_HOME: home, ...options.env };
  /* Root may read and enter everything; what another user may not is tried as one. */
  const user = options.asNobody && process.getuid!() === 0 ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : [];
  const [program = '', ...args] = [...user, process.execPath, BIN, ...argv];
  return spawn(program, args, { env, stdio: ['ignore', options.stdout ?? 'pipe', 'pipe'], timeout: COMMAND_MS });
}

async function ended(child: ChildProcess): Promise<Result> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk) => (stdout += String(chunk)));
  child.stderr!.on('data', (chunk) => (stderr += String(chunk)));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, stdout, stderr };
}

const run = (...[home, argv, options]: Parameters<typeof start>) => ended(start(home, argv, options));

async function fake(t: TestContext, answers: Record<string, (peer: Peer) => void>): Promise<FakeSupervisor> {
  const server = await FakeSupervisor.listen(answers);
  t.after(() => server.close());
  return server;
}

function emptyHome(t: TestContext): string {
  const home = mkdtempSync(join(tmpdir(), 'covet-bin-'));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  return home;
}

test('without a supervisor list is empty and exits 3, kill has nothing to do, the rest says so', async (t) => {
  const home = emptyHome(t);
  const none = `No supervisor runs for ${home}. \`covet-pm start app.js\` starts one.\n`;
  const empty = '{"apiVersion":1,"init":null,"supervisor":null,"apps":[]}\n';
  assert.deepEqual(await run(home, ['list', '--json']), { code: 3, stdout: empty, stderr: none });
  assert.deepEqual(await run(home, ['list', '--json', '-q']), { code: 3, stdout: empty, stderr: '' });
  assert.match((await run(home, ['list'])).stdout, /^name +status .*\n$/);
  assert.equal((await run(home, ['list'])).stderr, none);
  assert.deepEqual(await run(home, ['jlist']), { code: 3, stdout: '[]\n', stderr: '' });
  assert.equal((await run(home, ['ls'])).code, 3);
  assert.deepEqual(await run(home, ['kill']), { code: 0, stdout: '', stderr: 'No supervisor runs.\n' });
  for (const argv of [['ping'], ['stop', 'web'], ['logs', 'web'], ['events']]) {
    assert.deepEqual(await run(home, argv), {
      code: 3,
      stdout: '',
      stderr: `error ${none}`,
    });
  }
});

test('without a supervisor doctor says what the host allows, and starts none', async (t) => {
  const home = emptyHome(t);
  const { code, stdout, stderr } = await run(home, ['doctor', '--json']);
  assert.equal(code, 0, stderr);
  assert.equal(stderr, '');
  const { apiVersion, findings } = JSON.parse(stdout) as DoctorView;
  assert.equal(apiVersion, 1);
  const found = new Map(findings.map((finding) => [finding.what, finding]));
  for (const what of ['reuseport program (classic BPF)', 'eBPF', 'io_uring', 'pidfd', 'ptrace scope', 'open files', 'CPUs'])
    assert.ok(found.get(what)?.found, `${what} in ${stdout}`);
  assert.equal(found.get('Node')?.found, process.versions.node);
  assert.equal(found.get('home')?.found, home);
  assert.equal(found.get('supervisor')?.found, 'none runs');
  assert.equal(found.has('covet-init'), false);
  const printed = await run(home, ['doctor']);
  assert.equal(printed.code, 0, printed.stderr);
  assert.match(printed.stdout, /^[✔•!] eBPF +\S/m);
  assert.match(printed.stdout, /^• supervisor +none runs\n +So nothing is known of apps\./m);
  assert.deepEqual(readdirSync(home), [], 'it made something in its home');
});

test('doctor warns of a home in which no supervisor could be started', async (t) => {
  const home = emptyHome(t);
  chmodSync(home, 0o777);
  const { stdout } = await run(home, ['doctor']);
  assert.match(stdout, /^! home +\S+\n +others may write .*: no supervisor can be started there\.$/m);
});

test('data goes to stdout, also from a command with flags that only the full CLI knows', async (t) => {
  const server = await fake(t, {
    list: (peer) => peer.answer(list(app())),
    describe: (peer) => peer.answer(describeView()),
    doctor: (peer) => peer.answer({ apiVersion: 1, findings: [{ level: 'ok', what: 'covet-init', found: 'pid 7', advice: '' }] }),
    stop: (peer) => peer.answer(stopView()),
  });
  assert.match((await run(server.home, ['list'])).stdout, /^name .*\nweb +online/);
  assert.equal(JSON.parse((await run(server.home, ['list', '--json'])).stdout).apps[0].name, 'web');
  assert.match((await run(server.home, ['describe', 'web', '--show-env'])).stdout, /^web {2}online/);
  assert.equal((await run(server.home, ['doctor'])).stdout, '✔ covet-init  pid 7\n');
  assert.deepEqual(await run(server.home, ['stop', 'web', '-q']), { code: 0, stdout: '', stderr: '' });
  assert.match((await run(server.home, ['stop', 'web', '--deadline', '5000'])).stdout, /^web is stopped\./);
  assert.match((await run(server.home, ['list'], { env: { FORCE_COLOR: '1' } })).stdout, /\u001b\[32monline/);
  assert.doesNotMatch((await run(server.home, ['list', '--no-color'], { env: { FORCE_COLOR: '1' } })).stdout, /\u001b/);
});

test('a reading is asked once more where the supervisor dies over it, a change is not', async (t) => {
  let asked = 0;
  const server = await fake(t, {
    list: (peer) => (++asked === 1 ? peer.socket.destroy() : peer.answer(list(app()))),
    describe: (peer) => peer.socket.destroy(),
    restart: (peer) => peer.socket.destroy(),
  });
  assert.equal(JSON.parse((await run(server.home, ['list', '--json'])).stdout).apps[0].name, 'web');
  for (const verb of ['describe', 'restart']) {
    const { code, stderr } = await run(server.home, [verb, 'web']);
    assert.equal(code, 1);
    assert.match(stderr, /^error The connection to the supervisor ended/);
  }
  const count = (method: string) => server.sent.filter((request) => request.method === method).length;
  assert.deepEqual([count('list'), count('describe'), count('restart')], [2, 2, 1]);
});

test('a failed operation is a sentence and exit 1; with --json an object on stdout', async (t) => {
  const server = await fake(t, {
    reload: (peer) =>
      peer.refuse('COVET_ERR_RELOAD_FAILED', {
        app: 'web',
        generation: 4,
        reason: 'slot 0 exited with 1.',
        rest: 'The old workers serve on.',
      }),
  });
  const sentence = 'Reload of `web` to generation 4 failed: slot 0 exited with 1. The old workers serve on.';
  assert.deepEqual(await run(server.home, ['reload', 'web']), { code: 1, stdout: '', stderr: `error ${sentence}\n` });
  const { code, stdout } = await run(server.home, ['reload', 'web', '--json']);
  assert.equal(code, 1);
  assert.deepEqual(JSON.parse(stdout).error.code, 'COVET_ERR_RELOAD_FAILED');
  assert.deepEqual(JSON.parse(stdout).error.message, sentence);
});

test('a home where no folder can be made is refused, and not waited for', async (t) => {
  const script = join(emptyHome(t), 'app.js');
  writeFileSync(script, '');
  const { code, stderr } = await run('/proc/covet/home', ['start', script]);
  assert.equal(code, 1);
  assert.match(stderr, /^error Cannot use \/proc\/covet\/home as COVET_HOME: .*ENOENT/);
});

test('start of a name that is no file runs the stopped app of that name', async (t) => {
  const server = await fake(t, {
    list: (peer) => peer.answer(list(app({ name: 'web', status: 'stopped' }))),
    startStopped: (peer) => peer.answer({ apiVersion: 1, app: app() }),
  });
  assert.equal((await run(server.home, ['start', 'web'])).stdout, 'web is online with 2 workers.\n');
  assert.deepEqual((await server.received('startStopped')).params, { app: 'web' });
  assert.match((await run(server.home, ['start', 'wbe'])).stderr, /^error Cannot run .*\/wbe: there is no such file\./);
});

test('start of a known app with flags is refused, and nothing is started', async (t) => {
  const server = await fake(t, {
    list: (peer) => peer.answer(list(app({ name: 'web', status: 'stopped' }))),
    describe: (peer) => peer.answer({ ...describeView(), config: { script: '/srv/app.js' } }),
    startStopped: (peer) => peer.answer({ apiVersion: 1, app: app() }),
  });
  const { code, stderr } = await run(server.home, ['start', 'web', '-i', '4', '--env', 'FOO=bar', '--set', 'onlyOne=true', '--', '-v']);
  assert.equal(code, 2);
  assert.match(stderr, /^error `start web` runs the app as it was, without `--instances`, `--env`, `--set`, `--`\./);
  assert.match(stderr, /covet-pm start \/srv\/app\.js --name web .*covet-pm scale web <count>.*restart web --update-env/);
  assert.ok(!server.sent.some(({ method }) => method === 'startStopped'), 'it was started');
});

test('start sends the caller’s environment and a complete config', async (t) => {
  const server = await fake(t, { start: (peer) => peer.answer({ apiVersion: 1, app: app() }) });
  const script = join(server.home, 'my.app.js');
  writeFileSync(script, '');
  const result = await run(server.home, ['start', script, '-i', '2', '--', '-v'], { env: { SECRET: 'x' } });
  assert.equal(result.code, 0, result.stderr);
  const { config, env } = (await server.received('start')).params as { config: Record<string, unknown>; env: Record<string, string> };
  assert.equal(config['name'], 'my.app');
  assert.equal(config['script'], script);
  assert.deepEqual(config['args'], ['-v']);
  assert.equal(config['killTimeoutMs'], 5_000);
  assert.equal(env['SECRET'], 'x');
});

test('Ctrl-C ends the waiting, says that the operation goes on, and exits 130', async (t) => {
  const server = await fake(t, { reload: () => undefined });
  for (const argv of [
    ['reload', 'web'],
    ['reload', 'web', '--update-env'],
  ]) {
    server.sent.length = 0;
    const child = start(server.home, argv);
    const result = ended(child);
    await server.received('reload');
    child.kill('SIGINT');
    assert.deepEqual(await result, {
      code: 130,
      stdout: '',
      stderr: '`reload web` goes on in the supervisor; `covet-pm list` shows how it stands.\n',
    });
  }
});

test('a deadline exits 124', async (t) => {
  const server = await fake(t, { reload: () => undefined });
  assert.deepEqual(await run(server.home, ['reload', 'web', '--deadline', '50']), {
    code: 124,
    stdout: '',
    stderr: 'error `reload` did not end within 50 ms.\n',
  });
});

test('a supervisor that dies before it answers is told apart from one that is not there', async (t) => {
  const server = await fake(t, { stop: (peer) => peer.socket.destroy() });
  const result = await run(server.home, ['stop', 'web']);
  assert.equal(result.code, 1);
  assert.match(result.stderr, /ended before it answered; `covet-pm list` shows how it stands\.$/m);
});

test('a reader that leaves ends the command quietly', async (t) => {
  const server = await fake(t, {
    logs: (peer) => {
      peer.answer({ subscription: 1 });
      for (let i = 0; i < 5_000; i++) peer.notify('item', { subscription: 1, item: { app: 'web', stream: 'out', line: 'x'.repeat(100) } });
    },
  });
  const child = start(server.home, ['logs', 'web', '-f']);
  child.stdout!.once('data', () => child.stdout!.destroy());
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  assert.equal(code, 141);
});

test('a stdout that takes nothing is an error that says so', async (t) => {
  const server = await fake(t, {
    list: (peer) => peer.answer(list(app())),
    stop: (peer) => peer.refuse('COVET_ERR_APP_UNKNOWN', { app: 'web' }),
  });
  const full = openSync('/dev/full', 'w');
  t.after(() => closeSync(full));
  for (const [home, argv] of [
    [server.home, ['list']],
    [server.home, ['list', '--json', '--workers']],
    [server.home, ['stop', 'web', '--json']],
    [server.home, ['--version']],
    [emptyHome(t), ['list']],
  ] as const) {
    const { code, stderr } = await run(home, argv, { stdout: full });
    assert.deepEqual([code, stderr], [1, 'error Cannot write to stdout: ENOSPC: no space left on device, write.\n'], argv.join(' '));
  }
});

test('logs end with the last line, and say what was left out', async (t) => {
  const server = await fake(t, {
    logs: (peer) => {
      peer.answer({ subscription: 1 });
      peer.notify('item', { subscription: 1, item: { app: 'web', stream: 'out', line: 'ü \u001b[2J' } });
      peer.notify('item', { subscription: 1, end: true, dropped: 2 });
    },
  });
  const left = '2 lines were left out: this terminal did not keep up.\n';
  assert.deepEqual(await run(server.home, ['logs']), { code: 0, stdout: 'web | ü \u001b[2J\n', stderr: left });
  assert.equal((await run(server.home, ['logs', 'web'])).stdout, 'ü \u001b[2J\n');
  assert.equal((await run(server.home, ['logs', 'web', '--json'])).stdout, '{"app":"web","stream":"out","line":"ü \\u001b[2J"}\n');
});

test('`logs -f` says on stderr how many lines are missing while it goes on', async (t) => {
  const server = await fake(t, {
    logs: (peer) => {
      peer.answer({ subscription: 1 });
      peer.notify('dropped', { subscription: 1, dropped: 2 });
      peer.notify('item', { subscription: 1, item: { app: 'web', stream: 'out', line: 'three' } });
    },
  });
  const child = start(server.home, ['logs', 'web', '-f']);
  t.after(() => child.kill('SIGKILL'));
  let [said, shown] = ['', ''];
  child.stderr!.on('data', (piece) => (said += String(piece)));
  child.stdout!.on('data', (piece) => (shown += String(piece)));
  await eventually('the line', () => shown === 'three\n');
  await eventually('how many are missing', () => said === '2 lines were left out: this terminal did not keep up.\n');
  assert.equal(child.exitCode, null);
});

test('another user’s home, supervisor and script are refused, each by name', async (t) => {
  const base = emptyHome(t);
  chmodSync(base, 0o755);
  const home = join(base, 'theirs');
  mkdirSync(join(home, 'run'), { recursive: true });
  const script = join(base, 'secret.js');
  writeFileSync(script, '');
  chmodSync(script, 0o000);
  chmodSync(join(home, 'run'), 0o000);
  const options = { asNobody: true };
  const me = process.getuid!();
  const closed = await run(home, ['list'], options);
  chmodSync(join(home, 'run'), 0o700);
  assert.equal(closed.code, 1);
  assert.match(
    closed.stderr,
    new RegExp(`^error The home .* is closed to you: it belongs to uid ${me}, you are uid ${me === 0 ? NOBODY : me}`),
  );
  const unreadable = await run(join(base, 'none'), ['start', script], options);
  assert.equal(unreadable.code, 1);
  assert.match(unreadable.stderr, /secret\.js: permission denied/);
  writeFileSync(join(base, 'fine.js'), '');
  const unwritable = await run('/usr/covet', ['start', join(base, 'fine.js')], me === 0 ? options : {});
  assert.equal(unwritable.code, 1);
  assert.match(unwritable.stderr, /Cannot use \/usr\/covet as COVET_HOME: .*(EACCES|permission denied|EROFS)/);
});

test('version is a word, and with --json data', async (t) => {
  const [plain, json] = [await run(emptyHome(t), ['version']), await run(emptyHome(t), ['version', '--json'])];
  assert.deepEqual(JSON.parse(json.stdout), { apiVersion: 1, version: plain.stdout.trim() });
});
