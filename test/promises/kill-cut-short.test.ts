/** covet-init is killed while everything is being ended: the next one has it gone on with, as nobody asks a second time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from './eventually.ts';
import { Served } from './served.ts';

for (const ask of ['kill', 'SIGTERM'] as const) {
  test(`covet-init killed in the drain of ${ask}: what was to end ends, and nothing is left`, async (t) => {
    const { home, port } = await Served.start(t, { app: 'slow-3s.cjs', config: { drainTimeoutMs: 4_000 } });
    const { init } = await home.list();
    const asked = fetch(`http://127.0.0.1:${port}/`).then((response) => response.status);
    const events = await home.events();
    if (ask === 'kill') home.spawn(['kill']);
    else process.kill(init.pid, 'SIGTERM');
    await events.waitFor('slot.changed', ({ to }) => to === 'draining');
    process.kill(init.pid, 'SIGKILL');
    await eventually('everything to be gone', () => home.processes().length === 0);
    assert.equal(await asked, 200, 'who was being answered was');
  });
}
