/**
 * A build that cannot serve never goes live: the reload fails with exit code 1 and says why, the same old workers serve on, and no
 * client notices. The good build after it goes live as if nothing had been.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Home } from './home.ts';
import { Deployment } from './release.ts';
import type { Cell } from './reload-cells.ts';
import { assertNothingLost, said, Served, stopAll } from './served.ts';
import { ALL, isAgain, picked } from './tier.ts';

interface BadBuild {
  /** A fixture app, or `text` under a name. */
  readonly app: string;
  readonly text?: string;
  /** What the command must say of it. */
  readonly reason: RegExp;
  /** What it alone writes. */
  readonly words?: RegExp;
}

/** Not a file of its own: no formatter could read it. */
const SYNTAX_ERROR = "require('node:http').createServer((request, response) => {\n";

const BAD_BUILDS: readonly BadBuild[] = [
  { app: 'a syntax error', text: SYNTAX_ERROR, reason: /SyntaxError/ },
  { app: 'throws-at-import.cjs', reason: /no database configured/ },
  { app: 'throws-after-listen.cjs', reason: /the first job failed/, words: /the first job failed/ },
  { app: 'never-listens.cjs', reason: /listen|not ready/i },
  { app: 'exits-within-min-healthy.cjs', reason: /exited|ended|code 0/i },
  { app: 'wrong-port.cjs', reason: /listen|not ready/i },
  { app: 'health-500.cjs', reason: /500/ },
];
const TRIED = isAgain && !ALL ? picked(BAD_BUILDS) : BAD_BUILDS;
/** How often each is tried: five times seven is thirty-five in a row. */
const TIMES = ALL ? 5 : 1;
const BUILDS = TIMES * TRIED.length;

const CLIENTS: readonly Cell[] = [
  { client: 'reconnect', connections: 8 },
  { client: 'keepAlive', connections: 8, thinkMs: [0, 50], keeps: true },
];

describe('bad builds', () => {
  test(`${BUILDS === 1 ? 'a bad build' : `${BUILDS} bad builds in a row: each`} is refused with its reason, the same old workers serve, nothing is lost`, async (t) => {
    // `never-listens` and `wrong-port` are known only by their deadline.
    const served = await Served.start(t, { app: 'http.cjs', config: { minHealthyMs: 250, readyTimeoutMs: 5_000, probe: { path: '/' } } });
    const loads = await served.beginAll(CLIENTS);
    const before = await served.home.pids();
    let builds = 1;
    for (let time = 0; time < TIMES; time++) {
      for (const { app, text, reason } of TRIED) {
        served.deployment.release(`r${++builds}`, app, text);
        const result = await served.home.covet('reload', 'web');
        assert.equal(result.code, 1, `${app}: ${said(result)}\n${result.code === 1 ? '' : await served.home.history()}`);
        assert.match(result.stderr, reason, `${app} was refused, and not said why`);
        assert.match(result.stderr, /[.!?…] The old workers serve on\.\n$/, app);
        for (const other of BAD_BUILDS) {
          if (other.app !== app && other.words !== undefined)
            assert.doesNotMatch(result.stderr, other.words, `${app} is said to have said what ${other.app} did`);
        }
        assert.deepEqual(await served.home.pids(), before, `${app}: other workers serve now`);
        await Promise.all(loads.map(async ({ load }) => load.more(20)));
      }
    }
    served.deployment.release('good', 'http.cjs');
    await served.reload();
    await Promise.all(loads.map(async ({ load }) => load.more(20)));
    const accounts = await stopAll(loads);
    assertNothingLost(accounts);
    for (const { tally } of accounts) assert.deepEqual(Object.keys(tally.builds).toSorted(), ['good', 'r1'], 'a bad build answered');
  });

  for (const { app, text, reason } of BAD_BUILDS.slice(0, 2)) {
    test(`start of an app that is ${app} fails with exit code 1 and the reason, and the app is not online`, async (t) => {
      const served = await Served.start(t, { app: 'http.cjs' });
      served.deployment.release('bad', app, text);
      const result = await served.home.tryStart({
        script: served.deployment.script,
        name: 'bad',
        instances: 2,
        restart: { delayMs: 10, delayMaxMs: 10 },
      });
      assert.equal(result.code, 1, said(result));
      assert.match(result.stdout + result.stderr, reason);
      assert.equal((await served.home.app('bad')).status, 'failed');
      assert.equal((await served.home.app('web')).status, 'online');
    });
  }

  test('an ES module that throws at import is not online', async (t) => {
    const home = Home.open(t);
    const deployment = new Deployment(join(home.work, 'app'), 'throws-at-import.mjs');
    const result = await home.tryStart({ script: deployment.script, instances: 2, restart: { delayMs: 10, delayMaxMs: 10 } });
    assert.equal(result.code, 1, said(result));
    assert.match(result.stdout + result.stderr, /no database configured/);
    assert.equal((await home.app()).status, 'failed');
  });
});
