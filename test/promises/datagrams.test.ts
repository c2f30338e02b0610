/**
 * UDP, with an app that knows nothing of covet-pm: each worker has a socket of its own on the one address, covet-init keeps it, and a
 * reload, a crash or a change of size loses no datagram.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { CLIENTS, type DatagramApp, ROUND_MS, startDatagramApp } from './datagram-app.ts';
import { eventually } from './eventually.ts';
import { Home, SHORT, type HomeOptions, type TestApp } from './home.ts';
import { freePort } from './ports.ts';
import { Deployment } from './release.ts';
import { said } from './served.ts';
import { ALL, control } from './tier.ts';

const RELOADS = ALL ? 10 : 3;

async function serve(t: TestContext, config: Partial<TestApp> = {}, options: HomeOptions = {}): Promise<DatagramApp> {
  const app = await startDatagramApp(t, config, options);
  await eventually('both workers to be bound', async () => (await listenerOf(app.home)).eligible.length === 2);
  return app;
}

async function listenerOf(home: Home): Promise<{ listener: string; dispatch: string; condition: string; eligible: readonly number[] }> {
  const { listeners } = (await home.covet('describe', 'web', '--json')).as('describe');
  assert.equal(listeners.length, 1);
  return listeners[0]!;
}

async function reload({ home, deployment }: DatagramApp, build: string): Promise<void> {
  deployment.release(build, 'udp.cjs');
  const result = await home.covet('reload', 'web', '--json');
  assert.equal(result.code, 0, `${said(result)}\n${home.log()}`);
  assert.equal(result.as('reload').mode, 'overlap');
}

const slotsOf = ({ load }: Pick<DatagramApp, 'load'>): number[] => [...new Set(load.answers.map(({ slot }) => slot))].sort((a, b) => a - b);

describe('a UDP app', () => {
  test('is ready by its bind(), and every worker serves the one address', async (t) => {
    const { home, load, port } = await serve(t, { readiness: 'listen' });
    const { listener, dispatch, condition } = await listenerOf(home);
    assert.deepEqual({ listener, dispatch, condition }, { listener: `udp://0.0.0.0:${port}`, dispatch: 'hash', condition: 'open' });
    assert.deepEqual((await home.app()).listen, [`udp://0.0.0.0:${port}`]);
    load.sendRound();
    assert.deepEqual(await load.settled(), []);
    assert.deepEqual(slotsOf({ load }), [0, 1]);
  });

  test(`${RELOADS} reloads lose no datagram, though each answer takes its time`, async (t) => {
    const serving = await serve(t);
    const { load } = serving;
    load.begin(ROUND_MS);
    for (let i = 0; i < RELOADS; i++) await reload(serving, `r${i + 2}`);
    load.sendRound();
    assert.deepEqual(await load.settled(), [], `of ${load.sent}`);
    const builds = new Set(load.answers.map(({ build }) => build));
    assert.ok(builds.has('r1') && builds.has(`r${RELOADS + 1}`), [...builds].join(' '));
    t.diagnostic(`${load.sent} datagrams, all answered, by ${new Set(load.answers.map(({ pid }) => pid)).size} workers`);
  });

  test('a build that binds and does not stay costs no datagram: it read none', async (t) => {
    const { home, deployment, load } = await serve(t, { restart: { delayMs: 20, delayMaxMs: 100 } });
    load.begin(ROUND_MS);
    const text = `const socket = require('node:dgram').createSocket('udp4').on('message', () => {});
      socket.bind(Number(process.env.PORT), () => setTimeout(() => process.exit(1), 100));`;
    deployment.release('bad', 'udp.cjs', text);
    const result = await home.covet('reload', 'web', '--json');
    assert.equal(result.code, 1, said(result));
    load.sendRound();
    assert.deepEqual(await load.settled(), [], `of ${load.sent}`);
    assert.deepEqual([...new Set(load.answers.map(({ build }) => build))], ['r1']);
  });

  test('the same clients see it when nothing is drained', control, async (t) => {
    // Answers that take their time, so that a worker that ends has some in hand whenever that is.
    const serving = await serve(t, { env: { WORK_MS: '300' } }, { env: { COVET_TEST_FAULT: 'no-drain' } });
    const { load } = serving;
    load.begin(ROUND_MS);
    for (let i = 0; i < 3; i++) await reload(serving, `r${i + 2}`);
    assert.notDeepEqual(await load.settled(2_000), []);
  });

  test('a supervisor that dies between the flip on disk and its word leaves nobody who does not read', async (t) => {
    const { home, deployment, load } = await serve(t, {}, { env: { COVET_TEST_FAULT: 'die@written:2' } });
    load.begin(ROUND_MS);
    deployment.release('r2', 'udp.cjs');
    assert.equal((await home.covet('reload', 'web')).code, 1);
    await eventually('the new generation to serve alone', async () => {
      const { status, generation, workers } = await home.app();
      return status === 'online' && generation === 2 && workers.length === 2;
    });
    load.sendRound();
    assert.deepEqual(await load.settled(), [], `of ${load.sent}`);
  });

  test('what waited for a worker that is killed is answered by its successor on the same slot', async (t) => {
    const { home, load } = await serve(t);
    const events = await home.events();
    const victim = (await home.app()).workers[1]!;
    load.sendRound();
    assert.deepEqual(await load.settled(), []);
    // The kernel's choice for a client stays what it is.
    const clients = new Set(load.answers.filter(({ slot }) => slot === victim.slot).map(({ n }) => n % CLIENTS));
    assert.ok(clients.size > 0);
    process.kill(victim.pid, 'SIGSTOP');
    load.sendRound();
    load.sendRound();
    await eventually('the other worker to answer all of its own', () => load.missing.length === 2 * clients.size);
    const waiting = load.missing;
    process.kill(victim.pid, 'SIGKILL');
    await events.waitFor('worker.exited', ({ pid }) => pid === victim.pid);
    assert.deepEqual(await load.settled(), []);
    const successor = (await home.app()).workers.find(({ slot }) => slot === victim.slot)!;
    const byWhom = new Set(load.answers.filter(({ n }) => waiting.includes(n)).map(({ pid }) => pid));
    assert.deepEqual([...byWhom], [successor.pid]);
    t.diagnostic(`${waiting.length} of ${load.sent} waited`);
  });

  test('a slot that scale takes away leaves no socket that the kernel would still choose', async (t) => {
    const serving = await serve(t);
    const { home, load } = serving;
    for (const size of [3, 1, 2]) {
      const result = await home.covet('scale', 'web', String(size), '--json');
      assert.equal(result.code, 0, said(result));
      await eventually(`${size} workers`, async () => (await home.pids()).length === size);
      const before = load.sent;
      for (let i = 0; i < 3; i++) load.sendRound();
      assert.deepEqual(await load.settled(), [], `at ${size}`);
      const slots = new Set(load.answers.filter(({ n }) => n >= before).map(({ slot }) => slot));
      assert.equal(slots.size, size);
      await reload(serving, `at-${size}`);
    }
  });

  test('the config may open the address first, and a second app may have the TCP port of that number', async (t) => {
    const port = await freePort();
    const listen = [`udp://0.0.0.0:${port}`];
    const { home } = await serve(t, { listen, env: { PORT: String(port) } });
    const tcp = new Deployment(join(home.work, 'tcp'), 'http.cjs');
    const started = await home.tryStart({ ...SHORT, name: 'tcp', script: tcp.script, cwd: tcp.folder, env: { PORT: String(port) } });
    assert.equal(started.code, 0, said(started));
    const second = await home.tryStart({ ...SHORT, name: 'udp', script: tcp.script, cwd: tcp.folder, listen });
    assert.match(said(second), new RegExp(`udp://0\\.0\\.0\\.0:${port} is held by \`web\``));
  });
});
