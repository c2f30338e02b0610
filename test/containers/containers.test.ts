/**
 * In a container covet-init is a good PID 1: it reaps what it is left, `docker stop` loses nothing that was accepted, the exit code is
 * the app's, all output is JSON, and one writable path is enough, for any user and under a strict seccomp profile.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { Load } from '../load/load.ts';
import { LoadProcess } from '../load/load.ts';
import type { ClientKind } from '../load/options.ts';
import type { Tally } from '../load/tally.ts';
import { eventually } from '../promises/eventually.ts';
import { freePort } from '../promises/ports.ts';
import { processInfo } from '../promises/processes.ts';
import { repositoryRoot } from '../promises/root.ts';
import { said } from '../promises/served.ts';
import { type Container, Docker, type RunOptions, whyNot } from './docker.ts';
import { buildImage } from './image.ts';

const NOBODY = 65_534;
const STRICT = [
  ...['--read-only', '--tmpfs', `/run/covet:uid=${NOBODY},gid=${NOBODY},mode=700`, '--user', `${NOBODY}:${NOBODY}`, '--cap-drop', 'ALL'],
  ...[
    '--security-opt',
    'no-new-privileges',
    '--security-opt',
    `seccomp=${join(repositoryRoot(), 'test/containers/refusing-seccomp.json')}`,
  ],
];
const LIMITS = ['-i', '2', '--min-healthy', '150'];
const CLIENTS: readonly ClientKind[] = ['reconnect', 'keepAlive'];

describe('containers', { skip: whyNot() }, () => {
  let docker: Docker;
  let image = '';

  before(async () => {
    docker = await Docker.start();
    image = await buildImage(docker);
  });

  after(async () => {
    await docker?.end();
  });

  async function run(options: RunOptions = {}): Promise<{ container: Container; port: number }> {
    const port = await freePort();
    return { port, container: await docker.run(image, { ...options, options: ['--env', `PORT=${port}`, ...(options.options ?? [])] }) };
  }

  /** An app of test/fixtures/apps that is online, and clients that each were answered. */
  async function loaded(t: TestContext, app: string, options: readonly string[] = []): Promise<{ container: Container; loads: Load[] }> {
    const { container, port } = await run({ options, args: ['covet-pm', 'run', `/fixtures/${app}`, '--name', 'web', ...LIMITS] });
    await container.online();
    const load = await LoadProcess.start();
    t.after(async () => load.close());
    const target = { host: '127.0.0.1', port };
    const loads = await Promise.all(CLIENTS.map(async (kind) => load.begin({ kind, target, connections: 6 })));
    return { container, loads };
  }

  test('covet-init is PID 1, and reaps what others left to it', async () => {
    const { container } = await run();
    await container.online();
    const pid = await container.pid();
    assert.match(processInfo(pid)!.command, /\/covet-init /);
    const orphan = await leaveOrphan(container, pid);
    process.kill(orphan, 'SIGKILL');
    await eventually('the orphan to be reaped', () => processInfo(orphan) === null);
    await container.stop();
  });

  test('node as PID 1 reaps nothing: the same look sees its zombie', async () => {
    const { container } = await run({ args: ['node', 'app.js'] });
    const pid = await container.pid();
    const orphan = await leaveOrphan(container, pid);
    process.kill(orphan, 'SIGKILL');
    await eventually('a zombie', () => processInfo(orphan)?.state === 'Z');
    await container.kill();
  });

  for (const app of ['http.cjs', 'slow-3s.cjs']) {
    test(`docker stop under load loses nothing that was accepted, and ends with 0: ${app}`, async (t) => {
      const { container, loads } = await loaded(t, app);
      await container.stop();
      assert.equal(await container.ended(), 0);
      const tallies = await Promise.all(loads.map(async (each) => each.stop()));
      for (const tally of tallies) assert.deepEqual(cutOf(tally), [], JSON.stringify(tally));
    });
  }

  test('the same clients see it when nothing is drained, and when the container is killed', async (t) => {
    for (const end of [
      { options: ['--env', 'COVET_TEST_FAULT=no-drain'], by: async (container: Container) => container.stop() },
      { options: [], by: async (container: Container) => container.kill() },
    ]) {
      const { container, loads } = await loaded(t, 'slow-3s.cjs', end.options);
      await end.by(container);
      const tallies = await Promise.all(loads.map(async (each) => each.stop()));
      for (const tally of tallies) assert.notDeepEqual(cutOf(tally), [], JSON.stringify(tally));
    }
  });

  test('its exit code is the app’s, 128 + a signal’s number, or 125 when covet-pm failed', async () => {
    const once = ['-i', '1', '--set', 'restart.startsMax=1'];
    for (const [args, code] of [
      [['/fixtures/exits.cjs', ...once, '--env', 'CODE=7'], 7],
      [['/fixtures/exits.cjs', ...once], 0],
      [['/fixtures/kills-itself.cjs', ...once], 137],
      [['/fixtures/none.cjs'], 125],
    ] as const) {
      const { container } = await run({ args: ['covet-pm', 'run', ...args] });
      assert.equal(await container.ended(), code, `${args.join(' ')}: ${said(await container.logs())}`);
    }
    const { container } = await run();
    await container.online();
    const { supervisor } = (await container.covet('list', '--json')).as('list');
    await container.exec('node', '-e', `process.kill(${supervisor.pid}, 'SIGKILL')`);
    assert.equal(await container.ended(), 125);
  });

  test('a container that was killed starts again', async () => {
    const { container } = await run();
    await container.online();
    await container.kill();
    await container.startAgain();
    await container.online();
    await container.stop();
    assert.equal(await container.ended(), 0);
  });

  test('read-only, as any user, without capabilities, io_uring, bpf and ptrace it serves, and a reload loses nothing', async (t) => {
    const { container, loads } = await loaded(t, 'http.cjs', STRICT);
    const { findings } = (await container.covet('doctor', '--json')).as('doctor');
    const found = (what: string): string | undefined => findings.find((finding) => finding.what === what)?.found;
    assert.deepEqual([found('user'), found('io_uring'), found('eBPF')], [`uid ${NOBODY}`, 'refused (EPERM)', 'refused (EPERM)']);
    for (let i = 0; i < 2; i++) {
      const reload = await container.covet('reload', 'web', '--json');
      assert.equal(reload.code, 0, said(reload));
      await Promise.all(loads.map(async (each) => each.more(12)));
    }
    const tallies = await Promise.all(loads.map(async (each) => each.stop()));
    for (const { lost, examples } of tallies) assert.equal(lost, 0, examples.join('\n'));
    await container.stop();
    assert.equal(await container.ended(), 0);
  });

  test('a read-only container without a COVET_HOME that can be written says so, and ends with 125', async () => {
    for (const options of [['--read-only'], ['--read-only', '--env', 'COVET_HOME=']]) {
      const { container } = await run({ options });
      assert.equal(await container.ended(), 125);
      assert.match((await container.logs()).stderr, /Cannot use \S+ as COVET_HOME: .*read-only file system/);
    }
  });

  test('where IPv6 is off, as on Docker’s own networks, a worker is probed all the same', async () => {
    const options = ['--sysctl', 'net.ipv6.conf.all.disable_ipv6=1', '--sysctl', 'net.ipv6.conf.lo.disable_ipv6=1'];
    const { container } = await run({
      network: 'none',
      options,
      args: ['covet-pm', 'run', '/fixtures/http.cjs', ...LIMITS, '--probe', '/'],
    });
    await container.online();
    assert.match((await container.covet('list')).stdout, /\*:\d+/);
    await container.stop();
    assert.equal(await container.ended(), 0);
  });

  test('its health check is 0 while the app serves and 1 while it does not', async () => {
    const { container } = await run({ options: ['--health-interval', '1s'] });
    await container.online();
    const healthy = await container.covet('health');
    assert.equal(healthy.code, 0, said(healthy));
    await eventually('the engine to hear of it', async () => (await container.inspect('{{.State.Health.Status}}')) === 'healthy');
    await container.stop();

    // It listens, and never says that it is ready.
    const { container: broken } = await run({ args: ['covet-pm', 'run', '/fixtures/http.cjs', '--name', 'web', '--readiness', 'signal'] });
    await eventually('a supervisor to answer', async () => (await broken.covet('ping')).code === 0);
    const result = await broken.covet('health');
    assert.deepEqual(
      { code: result.code, stdout: result.stdout },
      { code: 1, stdout: 'unhealthy: web is starting, 0 of 1 workers ready\n' },
    );
    await broken.stop();
  });

  test('all its output is JSON lines', async () => {
    const { container } = await run();
    await container.online();
    await container.stop();
    const { stdout, stderr } = await container.logs();
    const lines = `${stdout}${stderr}`.trimEnd().split('\n');
    const read = lines.map((line) => JSON.parse(line) as { app: string; slot: number; stream: string; message: string });
    assert.ok(read.length > 0);
    for (const { app, stream, message } of read)
      assert.match(`${app} ${stream} ${message}`, /^app out \{"level":"info","msg":"listening on \d+"\}$/);
    assert.ok(read.some(({ slot }) => slot === 0));
  });
});

/** What was accepted and not answered: whoever was refused a connection was not accepted. */
function cutOf({ lostBy }: Tally): string[] {
  return Object.entries(lostBy).flatMap(([how, count]) => (how === 'refused' || count === 0 ? [] : [`${how} ${count}`]));
}

/** Has a process start another and end, so that the other is PID 1's; answers with its pid, as the host counts. */
async function leaveOrphan(container: Container, init: number): Promise<number> {
  const child = `require('node:child_process').spawn('node', ['-e', 'setInterval(() => {}, 1000)', 'orphan'], { detached: true, stdio: 'ignore' }).unref()`;
  const result = await container.exec('node', '-e', child);
  assert.equal(result.code, 0, said(result));
  return eventually('the orphan to be PID 1’s', async () => {
    const { stdout } = await container.top();
    const [, pid] = new RegExp(`^\\s*(\\d+)\\s+${init}\\s.*orphan$`, 'm').exec(stdout) ?? [];
    return pid !== undefined && Number(pid);
  });
}
