/**
 * Nobody who speaks wrongly brings the supervisor down or gains by it: random frames on the control socket, and a worker as another
 * uid that writes garbage to every descriptor it was given, asks for :443 and for another app's address, and tries to attach a
 * program of its own to its lent socket's group.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { seededRandom } from '../seed.ts';
import { randomFrame } from './frames.ts';
import { eventually } from './eventually.ts';
import { openFds, rssBytes } from './processes.ts';
import { Deployment } from './release.ts';
import { repositoryRoot } from './root.ts';
import { Served } from './served.ts';
import { isRoot, SEED } from './tier.ts';

const FRAMES = 10_000;
/** Per connection; then it hangs up in the middle of whatever it was saying. */
const FRAMES_PER_CONNECTION = 50;
const RSS_GROWTH_MAX = 40 * 1_048_576;
const NOBODY = 65_534;

describe('hostile speech', () => {
  test(`${FRAMES} random frames on the control socket: no crash, no descriptor and no memory lost (seed ${SEED})`, async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const { supervisor, init } = await served.home.list();
    const random = seededRandom(SEED);
    const path = join(served.home.path, 'run/control.sock');
    const batch = async (connections: number): Promise<void> => {
      for (let i = 0; i < connections; i++)
        await frames(
          path,
          Array.from({ length: FRAMES_PER_CONNECTION }, () => randomFrame(random)),
        );
    };
    await batch(20); // warm
    const fds = { supervisor: openFds(supervisor.pid), init: openFds(init.pid) };
    const rss = rssBytes(supervisor.pid);
    await batch(FRAMES / FRAMES_PER_CONNECTION - 20);
    assert.equal((await served.home.list()).supervisor.pid, supervisor.pid, 'the supervisor was restarted');
    const areAsFew = (): boolean => openFds(supervisor.pid).length <= fds.supervisor.length && openFds(init.pid).length <= fds.init.length;
    await eventually('as few descriptors as before', areAsFew).catch(() =>
      assert.deepEqual({ supervisor: openFds(supervisor.pid), init: openFds(init.pid) }, fds),
    );
    assert.ok(rssBytes(supervisor.pid) - rss < RSS_GROWTH_MAX, `${(rssBytes(supervisor.pid) - rss) / 1_048_576} MiB more`);
    assert.deepEqual((await served.home.app()).status, 'online');
    const load = await served.begin({ kind: 'reconnect', connections: 2 });
    assert.equal((await load.stop()).lost, 0);
  });

  test('a line without an end is refused before it fills the memory', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const { supervisor } = await served.home.list();
    const socket = net.connect(join(served.home.path, 'run/control.sock'));
    const piece = Buffer.alloc(1_048_576, 'x');
    let closed = false;
    socket
      .on('error', () => undefined)
      .on('close', () => (closed = true))
      .resume();
    for (let i = 0; i < 64 && !closed; i++) await new Promise<void>((resolve) => socket.write(piece, () => resolve()));
    await eventually('the connection to be closed', () => closed);
    assert.equal((await served.home.list()).supervisor.pid, supervisor.pid);
  });

  test('a worker that writes garbage to all its descriptors fails alone', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const { supervisor, init } = await served.home.list();
    const events = await served.home.events();
    const hostile = new Deployment(join(served.home.work, 'hostile'), 'hostile-garbage.cjs');
    openToAll(served.home.work);
    const started = await served.home.tryStart({
      script: hostile.script,
      name: 'hostile',
      instances: 1,
      env: { PORT: String(served.port + 3), VICTIM: String(served.port) },
      restart: { delayMs: 10, delayMaxMs: 10 },
      minHealthyMs: 0,
      ...unprivileged(),
    });
    await events.waitFor('worker.misbehaved', (event) => event.app === 'hostile');
    const now = await served.home.list();
    assert.deepEqual([now.supervisor.pid, now.init.pid], [supervisor.pid, init.pid], 'covet-init or the supervisor died of it');
    assert.equal((await served.home.app()).status, 'online');
    const load = await served.begin({ kind: 'reconnect', connections: 2 });
    await load.more(50);
    const tally = await load.stop();
    assert.equal(tally.lost, 0);
    assert.deepEqual(Object.keys(tally.builds), ['r1']);
    t.diagnostic(`start of the hostile app: exit ${started.code}`);
    await served.home.covet('delete', 'hostile');
  });

  test('a worker gets neither :443, nor the address of another app, nor the BPF of its group', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const events = await served.home.events();
    const hostile = new Deployment(join(served.home.work, 'hostile'), 'hostile-listener.cjs');
    openToAll(served.home.work);
    await served.home.tryStart({
      script: hostile.script,
      name: 'hostile',
      instances: 1,
      env: { PORT: String(served.port + 3), VICTIM: String(served.port), ATTACK: attackProgram(t) },
      minHealthyMs: 0,
      ...unprivileged(),
    });
    const said = await eventually('what the attempts came to', async () => {
      const logs = await served.home.covet('logs', 'hostile', '--lines', '200');
      return logs.stdout.includes('done') && logs.stdout;
    });
    assert.match(said, /port 443: EACCES/);
    assert.match(said, /the other app: EADDRINUSE/);
    assert.match(said, /reuseport filter: EPERM/);
    assert.match(said, /loaded program: EPERM/);
    assert.match(said, /socket filter: EPERM/);
    assert.doesNotMatch(said, /gained/);
    const load = await served.begin({ kind: 'reconnect', connections: 4 });
    await load.more(100);
    const tally = await load.stop();
    assert.equal(tally.lost, 0);
    assert.deepEqual(Object.keys(tally.builds), ['r1'], 'another app answered for web');
    assert.deepEqual(
      events.of('worker.exited').filter(({ app }) => app === 'web'),
      [],
    );
    await served.home.covet('delete', 'hostile');
  });

  test('a listener that a worker shut down is rebuilt, said, and answers again', async (t) => {
    const served = await Served.start(t, { app: 'shuts-down-its-listener.cjs', config: { env: { ATTACK: attackProgram(t) } } });
    const events = await served.home.events();
    const wire = net.connect({ host: '127.0.0.1', port: served.port });
    wire.on('error', () => undefined).end('GET /shutdown HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n');
    wire.resume();
    await once(wire, 'close');
    await events.waitFor('listener.rebuilt', (event) => event.app === 'web');
    const load = await served.begin({ kind: 'reconnect', connections: 4 });
    await load.more(50);
    assert.equal((await load.stop()).lost, 0);
  });
});

/** Compiles test/fixtures/apps/attack.cc where anyone may run it. */
function attackProgram(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'attack-'));
  t.after(() => rmSync(folder, { recursive: true }));
  chmodSync(folder, 0o755);
  execFileSync('g++', ['-o', join(folder, 'attack'), join(repositoryRoot(), 'test/fixtures/apps/attack.cc')]);
  return join(folder, 'attack');
}

/** As nobody, where this runs as root: else the workers are this user's own. */
function unprivileged(): { uid?: number; gid?: number } {
  return isRoot ? { uid: NOBODY, gid: NOBODY } : {};
}

/** Lets nobody reach the fixtures: mkdtemp's folder is its owner's alone. */
function openToAll(work: string): void {
  for (const folder of [work, dirname(work)]) chmodSync(folder, 0o755);
}

/** Sends what it is given, reads whatever comes, and hangs up. */
async function frames(path: string, pieces: readonly Buffer[]): Promise<void> {
  const socket = net.connect(path);
  socket.on('error', () => undefined).resume();
  const closed = once(socket, 'close');
  for (const piece of pieces) {
    if (socket.destroyed) break;
    socket.write(piece);
  }
  socket.end();
  await closed;
}
