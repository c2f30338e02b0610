/** Both die under apps that are no single-threaded HTTP server of Node: what is taken back of each, and what cannot be (docs/reliability.md). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { killBoth, takeBack } from './both-die.ts';
import { CLIENTS, ROUND_MS, startDatagramApp } from './datagram-app.ts';
import { eventually } from './eventually.ts';
import type { Home } from './home.ts';
import { assertNothingLost, said, Served, stopAll } from './served.ts';
import { pickedCell } from './tier.ts';

/** What `describe` names of the listeners. */
const listenersOf = async (home: Home): Promise<string[]> =>
  (await home.covet('describe', 'web', '--json')).as('describe').listeners.map(({ listener }) => listener);

const APPS = ['UDP', 'thread', 'Python'];

describe('death of covet-init and its supervisor at once, of an app', () => {
  test('with UDP sockets: no datagram is lost, then or by a reload after it', pickedCell('UDP', APPS), async (t) => {
    const { home, deployment, port, load } = await startDatagramApp(t, { readiness: 'listen' });
    const pids = await home.pids();
    load.begin(ROUND_MS);
    await killBoth(home);
    const before = load.answers.length;
    await eventually('answers while both are dead', () => load.answers.length > before + CLIENTS * 5);
    await takeBack(home, pids);
    assert.deepEqual(await listenersOf(home), [`udp://0.0.0.0:${port}`]);
    deployment.release('r2', 'udp.cjs');
    const reload = await home.covet('reload', 'web', '--json');
    assert.equal(reload.code, 0, `${said(reload)}\n${home.log()}`);
    load.sendRound();
    assert.deepEqual(await load.settled(), [], `of ${load.sent}`);
    assert.ok(load.answers.some(({ build }) => build === 'r2'));
  });

  test(
    'whose server is in a thread: nothing is lost, and what that thread opens later is its own',
    pickedCell('thread', APPS),
    async (t) => {
      const served = await Served.start(t, { app: 'http-in-thread.cjs' });
      const { home, port } = served;
      const pids = await home.pids();
      const loads = await served.beginAll([
        { client: 'reconnect', connections: 8 },
        { client: 'keepAlive', connections: 8, thinkMs: [0, 20] },
      ]);
      await killBoth(home);
      await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections * 5)));
      await takeBack(home, pids);
      await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections * 5)));
      assert.equal((await loads[1]!.load.peek()).opened, 8, 'the same connections');
      const listeners = await listenersOf(home);
      assert.equal(await (await fetch(`http://127.0.0.1:${port}/later`)).text(), 'listens');
      assert.equal((await fetch(`http://127.0.0.1:${port + 1}/`)).status, 200);
      assert.deepEqual(await listenersOf(home), listeners, 'the second address is bound by the thread itself');
      // Connections of a thread are not handed over: they end between two messages.
      await served.reload();
      await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections * 5)));
      assertNothingLost(await stopAll(loads));
    },
  );

  test(
    'in Python: the same workers serve on, each that ends has a successor on its socket, and stop ends them',
    pickedCell('Python', APPS),
    async (t) => {
      const served = await Served.start(t, { app: 'lent.py', isLent: true });
      const { home, port } = served;
      const pids = await home.pids();
      const load = await served.begin({ kind: 'reconnect', connections: 8 });
      await killBoth(home);
      await load.more(40);
      await takeBack(home, pids);
      await load.more(40);
      const tally = await load.stop();
      assert.equal(tally.lost, 0, JSON.stringify(tally.lostBy));
      process.kill(pids[0]!, 'SIGKILL');
      await eventually('a successor', async () => {
        const { workers } = await home.app();
        return workers.length === 2 && workers.every(({ pid, state }) => pid !== pids[0] && state === 'ready');
      });
      for (let i = 0; i < 20; i++) assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200);
      const stop = await home.covet('stop', 'web');
      assert.equal(stop.code, 0, said(stop));
    },
  );
});
