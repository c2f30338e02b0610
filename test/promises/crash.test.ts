/**
 * A worker that dies under load costs the requests it had accepted, and no other: its queue stays open in covet-init, and its
 * successor sits in the same slot and takes it.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Wire } from '../load/wire.ts';
import { answerOf } from '../load/run.ts';
import { eventually } from './eventually.ts';
import { Served } from './served.ts';

const DEADLINE_MS = 30_000;

describe('crash of a worker', () => {
  test('its successor takes the same slot, and only what the dead worker had accepted is lost', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const events = await served.home.events();
    const connections = 16;
    const reconnecting = await served.begin({ kind: 'reconnect', connections });
    const kept = await served.begin({ kind: 'keepAlive', connections, thinkMs: [0, 20] });
    for (let i = 0; i < 3; i++) {
      const victim = (await served.home.app()).workers[i % 2]!;
      process.kill(victim.pid, 'SIGKILL');
      const exit = await events.waitFor('worker.exited', (event) => event.pid === victim.pid);
      assert.deepEqual([exit.slot, exit.signal, exit.expected], [victim.slot, 'SIGKILL', false]);
      const ready = await events.waitFor(
        'slot.changed',
        (event) => event.slot === victim.slot && event.to === 'ready' && event.seq > exit.seq,
      );
      assert.notEqual(ready.pid, victim.pid);
      assert.equal(ready.generation, victim.generation, 'a successor is of the same generation');
      await Promise.all([reconnecting.more(connections * 4), kept.more(connections * 4)]);
    }
    for (const tally of [await reconnecting.stop(), await kept.stop()]) {
      // Cut connections of the dead: reset, or closed before or inside an answer. Nothing is refused and nothing waits for ever.
      const { refused, timeout, status, body, protocol } = tally.lostBy;
      assert.deepEqual(
        { refused, timeout, status, body, protocol },
        { refused: 0, timeout: 0, status: 0, body: 0, protocol: 0 },
        JSON.stringify(tally),
      );
      assert.ok(tally.lost <= 3 * connections, `more was lost than there were connections: ${JSON.stringify(tally)}`);
      t.diagnostic(
        `${tally.client}: ${tally.lost} of ${tally.requests} lost ${JSON.stringify(tally.lostBy)}, longest ${tally.longestMs} ms`,
      );
    }
  });

  test('the app is degraded while a worker is missing, and online with its successor', async (t) => {
    const { home } = await Served.start(t, { app: 'http.cjs' });
    const events = await home.events();
    process.kill((await home.pids())[1]!, 'SIGKILL');
    const degraded = await events.waitFor('app.changed', (event) => event.to === 'degraded');
    assert.deepEqual([degraded.from, degraded.reason], ['online', 'slot 1: was ended by SIGKILL']);
    const online = await events.waitFor('app.changed', (event) => event.to === 'online' && event.seq > degraded.seq);
    assert.deepEqual([online.from, online.reason], ['degraded', 'slot 1: ready']);
    assert.equal(events.of('app.degraded').length, 0, 'one crash is no alarm');
  });

  test('of workers that are killed in the middle, no request is lost that none had accepted', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'accepted-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const accepted = join(folder, 'accepted');
    const restart = { delayMs: 10, delayMaxMs: 50 };
    const served = await Served.start(t, { app: 'answers-late.cjs', config: { env: { ACCEPTED: accepted }, restart } });
    const events = await served.home.events();
    const load = await served.begin({ kind: 'reconnect', connections: 32 });
    const kills = 4;
    for (let i = 0; i < kills; i++) {
      const victim = (await served.home.app()).workers[i % 2]!;
      process.kill(victim.pid, 'SIGKILL');
      await events.waitFor('worker.exited', (event) => event.pid === victim.pid);
      await eventually('its successor', async () => (await served.home.app()).workers.every(({ state }) => state === 'ready'));
      await load.more(64);
    }
    const { requests, answered, lost, lostBy } = await load.stop();
    // Each request has a connection of its own. One may have been accepted in the instant of the kill, before it was written down.
    const unaccepted = requests - readFileSync(accepted, 'utf8').split('\n').slice(0, -1).length;
    assert.ok(lost > 0, 'nobody was killed in the middle of anything');
    assert.ok(unaccepted <= kills && unaccepted >= 0, `${unaccepted} of ${requests} had not been accepted; ${JSON.stringify(lostBy)}`);
    t.diagnostic(`${answered} answered, ${lost} lost, ${unaccepted} of them not seen to be accepted`);
  });

  test('a successor that is later than queueMs: clients are refused meanwhile, and served after', async (t) => {
    const config = { instances: 1, queueMs: 300, minHealthyMs: 200, env: { BOOT_MS: '2500', THROW: '/nonexistent' } };
    const served = await Served.start(t, { app: 'boots-slowly.cjs', config });
    const load = await served.begin({ kind: 'reconnect', connections: 4 });
    const [pid = 0] = await served.home.pids();
    process.kill(pid, 'SIGKILL');
    await eventually('clients to be refused', async () => (await load.peek()).lostBy.refused > 0);
    await load.more(8);
    const { lostBy, lost, pids } = await load.stop();
    assert.equal(Object.keys(pids).length, 2);
    // The rest were accepted by the dead, or waited when the queue was closed.
    assert.equal(lost, lostBy.refused + lostBy.reset + lostBy.empty, JSON.stringify(lostBy));
    assert.ok(lostBy.reset + lostBy.empty <= 8, JSON.stringify(lostBy));
    t.diagnostic(`${lostBy.refused} refused, ${lostBy.reset + lostBy.empty} cut`);
  });

  test('of a blocked worker that is killed, the one accepted request is lost and none of the queued', async (t) => {
    const served = await Served.start(t, { app: 'blocks-loop.cjs', config: { instances: 1 } });
    const client = await served.home.client();
    const queued = 20;
    const blocking = await Wire.open(served.target, DEADLINE_MS);
    const lost = blocking.response({ deadlineMs: DEADLINE_MS }).then(
      () => 'answered',
      (error: unknown) => String(error),
    );
    blocking.write('GET /block?ms=600000&token=x HTTP/1.1\r\nHost: any\r\n\r\n');
    // A connection that stays in the queue is the proof that the worker is blocked.
    const waiting = await Promise.all(
      Array.from({ length: queued }, async (_, i) => {
        const wire = await Wire.open(served.target, DEADLINE_MS);
        wire.write(`GET /?token=q${i} HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n`);
        return { answer: wire.response({ deadlineMs: DEADLINE_MS }), token: `q${i}`, wire };
      }),
    );
    const depth = async (): Promise<number> =>
      (await client.describe({ app: 'web' })).listeners.flatMap((listener) => listener.queued).reduce((sum, n) => sum + n, 0);
    await eventually('connections to stay in the queue', async () => (await depth()) > 0);
    const inQueue = await depth();
    const [pid = 0] = await served.home.pids();
    process.kill(pid, 'SIGKILL');
    const results = await Promise.allSettled(
      waiting.map(async ({ answer, token }) => {
        const { status, body } = await answer;
        const said = answerOf(status, body);
        assert.equal(said.token, token);
        assert.notEqual(said.pid, pid, 'the dead answered');
      }),
    );
    assert.match(await lost, /reset|empty/);
    // Those the worker had taken before it blocked are its own; the rest were queued.
    const answered = results.filter(({ status }) => status === 'fulfilled').length;
    assert.ok(
      answered >= inQueue,
      `${inQueue} were queued, ${answered} answered: ${JSON.stringify(results.filter(({ status }) => status === 'rejected').map((r) => String((r as PromiseRejectedResult).reason)))}`,
    );
    t.diagnostic(`${inQueue} of ${queued} were in the queue when the worker died, ${answered} were answered by its successor`);
    for (const { wire } of waiting) wire.close();
  });

  test('an app whose dependency goes away and comes back is ready again by itself', async (t) => {
    const flag = join('/tmp', `dependency-${process.pid}-${Date.now()}`);
    writeFileSync(flag, '');
    t.after(() => rmSync(flag, { force: true }));
    const served = await Served.start(t, {
      app: 'waits-for-dependency.cjs',
      config: { env: { DEPENDENCY: flag }, restart: { delayMs: 20, delayMaxMs: 100, intensity: 3 } },
    });
    const events = await served.home.events();
    rmSync(flag);
    for (const pid of await served.home.pids()) process.kill(pid, 'SIGKILL');
    await events.waitFor('app.degraded');
    await eventually('more crashes than the intensity', () => events.of('worker.exited').length > 8);
    assert.notEqual((await served.home.app()).status, 'failed', 'a slot that was ready restarts for ever');
    writeFileSync(flag, '');
    await eventually('both workers to be ready again', async () =>
      (await served.home.app()).workers.every((worker) => worker.state === 'ready'),
    );
    assert.equal(events.of('app.degraded').length, 1, 'said once');
    const load = await served.begin({ kind: 'reconnect', connections: 2 });
    assert.equal((await load.stop()).lost, 0);
  });
});
