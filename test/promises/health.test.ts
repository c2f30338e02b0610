/** `covet-pm health`: 0 while every wanted app serves, else 1 and why in one line; and no other exit code, whatever happens. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Home } from './home.ts';
import { said, Served } from './served.ts';

describe('health', () => {
  test('is 0 while the app is online, also while it reloads; 1 for one that was stopped, or is not known', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const { home } = served;
    const healthy = await home.covet('health');
    assert.equal(healthy.code, 0, said(healthy));
    assert.equal(healthy.stdout, 'healthy: web is online, 2 of 2 workers ready\n');

    // Its new workers never come to serve what the old ones do: it goes on until it is ended.
    served.deployment.release('r2', 'never-listens.cjs');
    const events = await home.events();
    const reload = home.covet('reload', 'web');
    await events.waitFor('reload.started');
    const meanwhile = await home.covet('health', 'web', '--json');
    assert.equal(meanwhile.code, 0, said(meanwhile));
    const { apps, isHealthy } = meanwhile.as('health');
    assert.deepEqual(
      { isHealthy, apps: apps.map(({ name, status }) => ({ name, status })) },
      { isHealthy: true, apps: [{ name: 'web', status: 'reloading' }] },
    );

    await home.covet('stop', 'web');
    assert.equal((await reload).code, 1);
    const all = await home.covet('health');
    assert.deepEqual({ code: all.code, stdout: all.stdout }, { code: 0, stdout: 'healthy: no app is wanted\n' });
    const stopped = await home.covet('health', 'web');
    assert.deepEqual(
      { code: stopped.code, stdout: stopped.stdout },
      { code: 1, stdout: 'unhealthy: web is stopped, 0 of 2 workers ready\n' },
    );
    assert.equal((await home.covet('health', 'other')).code, 1);
  });

  test('is 1 for an app that failed, with the reason, and names only what is ill', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const broken = await served.home.tryStart({ name: 'broken', script: 'none.cjs', cwd: served.deployment.folder });
    assert.notEqual(broken.code, 0);
    served.deployment.release('r2', 'throws-at-import.cjs');
    const restart = { delayMs: 10, delayMaxMs: 10 };
    await served.home.tryStart({ name: 'broken', script: served.deployment.script, cwd: served.deployment.folder, instances: 1, restart });
    const result = await served.home.covet('health');
    assert.equal(result.code, 1, said(result));
    assert.match(result.stdout, /^unhealthy: broken is failed, 0 of 1 workers ready: worker 0 exited with code 1.*\n$/);
  });

  test('is 1 without a supervisor, and for a command line that is wrong', async (t) => {
    const home = Home.open(t);
    for (const args of [[], ['--json'], ['web'], ['--no-such-option'], ['one', 'two']]) {
      const result = await home.covet('health', ...args);
      assert.equal(result.code, 1, said(result));
    }
    assert.match((await home.covet('health')).stderr, /^error No supervisor runs for \S+\. .*\n$/);
  });
});
