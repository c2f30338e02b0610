/**
 * Code that changes on disk under an app, as half a deployment does: a worker that crashes comes back on it, and nobody has tried it. It gets
 * no connection until it has held, while another worker can take them; the requests lost are those of the worker that died.
 */
import assert from 'node:assert/strict';
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { Client } from '../../dashboard/client.ts';
import type { Load } from '../load/load.ts';
import type { EventLog } from './event-log.ts';
import { eventually } from './eventually.ts';
import { Home, resultOf } from './home.ts';
import { freePort } from './ports.ts';
import { Deployment } from './release.ts';
import { control } from './tier.ts';
import { said, Served, type ServedOptions } from './served.ts';

const CONNECTIONS = 16;
/** The bad build answers after 50 ms and throws 200 ms after it listened: it always has requests in hand when it does. */
const CONFIG = { minHealthyMs: 1_000, restart: { delayMs: 20, delayMaxMs: 100 }, env: { BAD_AFTER_MS: '200' } } as const;

interface Bad {
  readonly served: Served;
  readonly client: Client;
  readonly events: EventLog;
  /** Worker 0, which serves on. */
  readonly stays: number;
  /** Of the clients that were there when worker 1 was killed, until its first successor had thrown. */
  readonly before: Load;
}

/** Two workers of a good build; the script is overwritten with a bad one and worker 1 killed. Returns when its first successor has thrown. */
async function crashOntoBadBuild(t: TestContext, options: Partial<ServedOptions> = {}): Promise<Bad> {
  const served = await Served.start(t, { app: 'http.cjs', config: CONFIG, ...options });
  const events = await served.home.events();
  const client = await served.home.client();
  const [stays = 0, dies = 0] = await served.home.pids();
  const before = await served.begin({ kind: 'reconnect', connections: CONNECTIONS });
  served.deployment.overwrite('bad', 'bad-slots.cjs');
  process.kill(dies, 'SIGKILL');
  await eventually('its first successor to throw', () => exitsOf(events, 1) >= 2);
  return { served, client, events, stays, before };
}

function exitsOf(events: EventLog, slot: number): number {
  return events.of('worker.exited').filter((event) => event.slot === slot).length;
}

async function setOf(client: Client): Promise<readonly number[]> {
  return (await client.describe({ app: 'web' })).listeners.flatMap(({ eligible }) => eligible);
}

describe('an app that was started in a linked folder', () => {
  test('is reloaded to the release that the link points to then', async (t) => {
    const home = Home.open(t);
    const deployment = new Deployment(join(home.work, 'app'), 'http.cjs');
    const port = await freePort();
    const options = { cwd: deployment.folder, env: { PORT: String(port), PWD: deployment.folder } };
    const started = await resultOf(home.spawn(['start', 'app.cjs', '-n', 'web', '--min-healthy', '150'], options), 'start');
    assert.equal(started.code, 0, said(started));
    const build = async (): Promise<string> => ((await (await fetch(`http://127.0.0.1:${port}/`)).json()) as { build: string }).build;
    await eventually('a listener', async () => (await home.app()).listen.length > 0);
    assert.equal(await build(), 'r1');
    deployment.release('r2', 'http.cjs');
    const reloaded = await home.covet('reload', 'web');
    assert.equal(reloaded.code, 0, said(reloaded));
    assert.equal(await build(), 'r2');
  });
});

describe('a worker that comes back on changed code', () => {
  test('gets no connection until it has held: what is lost are the requests of the worker that died', async (t) => {
    const { served, client, events, stays, before } = await crashOntoBadBuild(t);
    const during = await served.begin({ kind: 'reconnect', connections: CONNECTIONS });
    const first = await before.stop();
    const { refused, timeout, status, body, protocol } = first.lostBy;
    assert.deepEqual([refused, timeout, status, body, protocol], [0, 0, 0, 0, 0], JSON.stringify(first));
    assert.ok(first.lost <= CONNECTIONS, `more was lost than the dead worker can have had: ${JSON.stringify(first)}`);
    assert.ok((first.builds['bad'] ?? 0) <= CONNECTIONS, `the bad build answered more than its queue: ${JSON.stringify(first.builds)}`);

    const tries = exitsOf(events, 1);
    await eventually('five more tries', () => exitsOf(events, 1) >= tries + 5);
    await during.more(CONNECTIONS * 4);
    assert.deepEqual(await setOf(client), [0]);
    assert.deepEqual(Object.keys((await during.peek()).pids), [String(stays)], 'worker 0 serves everything');
    const path = realpathSync(served.deployment.script);
    assert.equal((await served.home.app()).status, 'degraded');
    assert.deepEqual(
      events.of('script.changed').map((event) => event.path),
      [path],
      'said once',
    );
    assert.ok(events.of('app.degraded').some(({ reason }) => reason.includes(`worker 1 exited with code 1; ${path} changed on disk`)));

    served.deployment.overwrite('r1', 'http.cjs');
    await eventually('worker 1 to be in the set again', async () => (await setOf(client)).join() === '0,1');
    await eventually('worker 1 to answer', async () => Object.keys((await during.peek()).pids).length === 2);
    const last = await during.stop();
    assert.deepEqual([last.lost, Object.keys(last.builds)], [0, ['r1']], JSON.stringify(last));
    t.diagnostic(`with the gate: ${first.lost} of ${first.requests} lost at the kill, ${last.lost} of ${last.requests} after it`);
  });

  test('without the gate it takes connections, and each of its crashes loses some', control, async (t) => {
    const { served, events } = await crashOntoBadBuild(t, { env: { COVET_TEST_FAULT: 'no-trial' } });
    const during = await served.begin({ kind: 'reconnect', connections: CONNECTIONS });
    const tries = exitsOf(events, 1);
    await eventually('five more tries', () => exitsOf(events, 1) >= tries + 5);
    const tally = await during.stop();
    assert.ok(tally.lost > 0 && (tally.builds['bad'] ?? 0) > 0, JSON.stringify(tally));
    t.diagnostic(`without the gate: ${tally.lost} of ${tally.requests} lost after the kill`);
  });

  test('serves when no other worker can', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs', config: { ...CONFIG, minHealthyMs: 5_000 } });
    const events = await served.home.events();
    const client = await served.home.client();
    const workers = await served.home.pids();
    served.deployment.overwrite('r2', 'http.cjs');
    process.kill(workers[1]!, 'SIGKILL');
    await events.waitFor('slot.changed', ({ slot, to, pid }) => slot === 1 && to === 'ready' && pid !== workers[1]);
    assert.deepEqual(await setOf(client), [0], 'on trial');
    process.kill(workers[0]!, 'SIGKILL');
    await events.waitFor('worker.exited', ({ pid }) => pid === workers[0]);
    assert.equal((await setOf(client)).includes(1), true, 'better untried code than nobody');
    const load = await served.begin({ kind: 'reconnect', connections: 4 });
    const tally = await load.stop();
    assert.deepEqual([tally.lost, Object.keys(tally.builds)], [0, ['r2']]);
  });
});
