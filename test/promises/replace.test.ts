/**
 * Reloads of apps of which there must never be two: the old worker first, then the new one, and when that fails the old build again. The
 * socket is covet-init's all the while, so that clients wait.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { said, Served } from './served.ts';

const ONE = { instances: 1, onlyOne: true, restart: { delayMs: 10, delayMaxMs: 10 } } as const;

describe('onlyOne', () => {
  test('a reload ends the old worker before the new one begins, and clients wait', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs', config: ONE });
    const events = await served.home.events();
    const [old = 0] = await served.home.pids();
    const load = await served.begin({ kind: 'reconnect', connections: 4 });
    served.deployment.release('r2', 'http.cjs');
    const { mode, generation } = await served.reload();
    assert.equal(mode, 'replace');
    const gone = await events.waitFor('worker.exited', ({ pid }) => pid === old);
    const begun = await events.waitFor('slot.changed', (event) => event.to === 'booting' && event.generation === generation);
    assert.ok(gone.seq < begun.seq, 'two workers at once');
    await load.more(8);
    const tally = await load.stop();
    assert.equal(tally.lost, 0, JSON.stringify(tally));
    assert.deepEqual(Object.keys(tally.builds).toSorted(), ['r1', 'r2']);
  });

  test('a build that does not become ready is given up, and the old one runs again', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs', config: ONE });
    const load = await served.begin({ kind: 'reconnect', connections: 4 });
    served.deployment.release('r2', 'throws-at-import.cjs');
    const result = await served.home.covet('reload', 'web');
    assert.equal(result.code, 1, said(result));
    assert.match(result.stderr, /no database configured/);
    await load.more(8);
    const tally = await load.stop();
    assert.equal(tally.lost, 0, JSON.stringify(tally));
    assert.deepEqual(Object.keys(tally.builds), ['r1']);
    assert.equal((await served.home.app()).workers.length, 1);
  });

  test('more than one is refused, at the start and by scale', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs', config: ONE });
    const scaled = await served.home.covet('scale', 'web', '2');
    assert.notEqual(scaled.code, 0);
    assert.match(scaled.stderr, /`web` is `onlyOne`; it cannot be scaled/);
    const second = await served.home.tryStart({ script: served.deployment.script, name: 'two', instances: 2, onlyOne: true });
    assert.match(said(second), /`onlyOne` and `instances` 2 exclude each other/);
    assert.equal((await served.home.list()).apps.length, 1);
  });
});
