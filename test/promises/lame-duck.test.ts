/** `lameDuckMs`: at a signal to covet-init the workers go on accepting so long before the drain; a second signal, or `kill`, waits for none of it. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { said, Served } from './served.ts';
import { eventually } from './eventually.ts';
import { processInfo } from './processes.ts';

const LONG_MS = 600_000;

async function served(t: TestContext, lameDuckMs: number): Promise<{ served: Served; init: number }> {
  const made = await Served.start(t, { app: 'http.cjs', config: { lameDuckMs } });
  return { served: made, init: (await made.home.list()).init.pid };
}

async function gone(pid: number): Promise<void> {
  await eventually('covet-init to be gone', () => processInfo(pid) === null);
}

describe('lameDuckMs', () => {
  test('workers take new connections until it is over, and then nothing accepted is lost', async (t) => {
    const { served: it, init } = await served(t, 3_000);
    const events = await it.home.events();
    const load = await it.begin({ kind: 'reconnect', connections: 4 });
    process.kill(init, 'SIGTERM');
    const { at: signalledAt } = await events.waitFor('supervisor.stopping');
    const before = await load.peek();
    const during = await load.more(20);
    assert.ok(during.opened >= before.opened + 16, `${during.opened - before.opened} connections were opened`);
    const { at: leftAt } = await events.waitFor('app.changed', ({ to }) => to === 'stopping');
    assert.ok(Date.parse(leftAt) - Date.parse(signalledAt) >= 2_990, `${signalledAt} to ${leftAt}`);
    await gone(init);
    const { lost, lostBy } = await load.stop();
    // Connecting after the end is refused, and is not accepted.
    assert.equal(lost, lostBy.refused);
  });

  test('a second signal ends it', async (t) => {
    const { served: it, init } = await served(t, LONG_MS);
    const events = await it.home.events();
    process.kill(init, 'SIGTERM');
    await events.waitFor('supervisor.stopping');
    assert.equal((await it.home.app()).status, 'online');
    process.kill(init, 'SIGINT');
    await events.waitFor('app.changed', ({ to }) => to === 'stopping');
    await gone(init);
  });

  test('`kill` has none, and `describe` counts it in what a stop takes', async (t) => {
    const { served: it } = await served(t, LONG_MS);
    const { stopTimeoutMs } = (await it.home.covet('describe', 'web', '--json')).as('describe');
    assert.ok(stopTimeoutMs > LONG_MS);
    const killed = await it.home.covet('kill');
    assert.equal(killed.code, 0, said(killed));
  });
});
