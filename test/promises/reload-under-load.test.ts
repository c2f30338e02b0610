/**
 * The main promise: a reload loses no request of anyone. Every app of the matrix serves all its clients at once through a handful of
 * reloads; with --all each cell also stands alone, those of the plain server through twenty, and COVET_TEST_SEED picks one such cell for
 * any other run, through three. Each row is also run with the mechanism taken away, and then each of its clients must report losses.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { isInstalled, runH2load, runWrk, type ToolResult } from '../load/tools.ts';
import { eventually } from './eventually.ts';
import { type Cell, nameOf, ROWS, type Row } from './reload-cells.ts';
import { assertAllLose, assertNothingLost, Served, stopAll } from './served.ts';
import { ALL, control, isAgain, picked, SEED } from './tier.ts';

const RELOADS = 3;
/** A default run goes to either half, with one app; the others, and one that repeats it, are reloaded once. */
const reloadsOf = ({ app, reloads = RELOADS }: Row): number => (ALL ? reloads : isAgain || app !== 'http.cjs' ? 1 : 2);
const SECONDS = 5;
const REQUESTS = 20_000;
/** A reload of each app has the same moments; it is repeated on one of them. */
const reloadsAlone = ({ app }: Row): number => (!ALL ? 3 : app === 'http.cjs' ? 20 : 5);

async function reloadUnder(t: TestContext, row: Row, cells: readonly Cell[], reloads: number): Promise<void> {
  const served = await Served.start(t, { app: row.app, ...kindOf(row) });
  const loads = await served.beginAll(cells);
  const reports = [];
  for (let i = 0; i < reloads; i++) {
    served.deployment.release(`r${i + 2}`, row.app);
    reports.push(await served.reload());
    // Every client is answered again before the next one.
    await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections)));
  }
  const accounts = await stopAll(loads);
  for (const { cell, tally } of accounts)
    t.diagnostic(
      `${nameOf(cell)}: ${tally.answered} answered, ${tally.opened} opened, longest ${tally.longestMs} ms, ${tally.refusedStreams} REFUSED_STREAM`,
    );
  for (const { durationMs, drain } of reports) t.diagnostic(`reload in ${durationMs} ms, ${JSON.stringify(drain)}`);
  assertNothingLost(accounts);
  for (const { cell, tally } of accounts) {
    assert.ok(
      Object.hasOwn(tally.builds, `r${reloads + 1}`),
      `${nameOf(cell)} was never answered by the last build: ${JSON.stringify(tally.builds)}`,
    );
    if (cell.oneWorker === true)
      assert.equal(Object.keys(tally.pids).length, reloads + 1, `${nameOf(cell)} was answered by others: ${JSON.stringify(tally.pids)}`);
  }
}

function kindOf({ tls = false, unix = false, clients }: Row): { tls: boolean; unix: boolean; listeners: number } {
  return { tls, unix, listeners: 1 + Math.max(...clients.map(({ portOffset = 0 }) => portOffset)) };
}

/** Between them they have every kind of client; by default the others are not run a second time, as another user. */
const KINDS = ['http.cjs', 'https.cjs', 'http2.cjs', 'h2c.cjs', 'ws-echo.cjs', 'sse.cjs'];

describe('reload under load', () => {
  for (const row of ROWS.filter(({ app }) => !isAgain || KINDS.includes(app))) {
    const cells = row.clients.filter(({ slow = false }) => ALL || !slow || row.app === 'http.cjs');
    test(`reload loses no request of any client of ${row.app}`, async (t) => reloadUnder(t, row, cells, reloadsOf(row)));
  }
});

/** With --all there are so many that they would be what everything else waits for. */
describe('reload under one client', { concurrency: 3 }, () => {
  const cells = ROWS.flatMap((row) => row.clients.map((cell) => ({ row, cell })));
  for (const { row, cell } of picked(cells)) {
    const times = reloadsAlone(row);
    test(`reload loses no request of ${row.app}'s client ${nameOf(cell)}, ${times} times over (seed ${ALL ? 'all' : SEED})`, async (t) =>
      reloadUnder(t, row, [cell], times));
  }
});

/** Mostly waiting for clients' deadlines, so several at once; by default those that have every kind of client between them. */
describe('reload with the mechanism off', { concurrency: 3, ...control }, () => {
  for (const row of ROWS.filter(({ app }) => ALL || KINDS.includes(app))) {
    test(`the clients of ${row.app} see it when nothing flips and nothing drains`, async (t) => {
      const served = await Served.start(t, {
        app: row.app,
        ...kindOf(row),
        env: { COVET_TEST_FAULT: 'no-flip,no-drain,no-hand-over,no-stand-in' },
        config: row.unix === true ? { env: { LATE_MS: '100' } } : {},
      });
      // Of one socket that all accept from, connections wait for whoever is left: only those that are kept can be lost.
      await assertAllLose(served, row.unix === true ? row.clients.filter(({ client }) => client !== 'reconnect') : row.clients);
    });
  }
});

describe('reload under clients that nobody here wrote', () => {
  const tools: readonly { tool: string; run: (port: number) => Promise<ToolResult> }[] = [
    { tool: 'wrk', run: async (port) => runWrk(`http://127.0.0.1:${port}/`, { connections: 16, seconds: SECONDS }) },
    {
      tool: 'h2load',
      run: async (port) => runH2load(`http://127.0.0.1:${port}/`, { connections: 8, requests: REQUESTS, http1: true }),
    },
  ];
  for (const { tool, run } of tools) {
    test(`reload loses no request of ${tool}`, { skip: skipOf(tool) }, async (t) => {
      const served = await Served.start(t, { app: 'http.cjs' });
      let reloads = 0;
      let isOver = false;
      const reloading = (async () => {
        for (; !isOver; reloads++) await served.reload();
      })();
      let requests = 0;
      while (reloads < 2) {
        const result = await Promise.race([run(served.port), reloading.then(() => assert.fail('the reloads ended first'))]);
        assert.deepEqual(result.errors, [], result.output);
        assert.ok(result.requests > 0);
        requests += result.requests;
      }
      isOver = true;
      await reloading;
      t.diagnostic(`${requests} requests, ${reloads} reloads`);
    });
  }

  test('reload loses no request of h2load that an HTTP/2 app has seen', { skip: skipOf('h2load') }, async (t) => {
    const seen = join(mkdtempSync(join(tmpdir(), 'seen-')), 'requests');
    t.after(() => rmSync(dirname(seen), { recursive: true }));
    const served = await Served.start(t, { app: 'h2c.cjs', config: { env: { SEEN: seen } } });
    const result = runH2load(`http://127.0.0.1:${served.port}/`, { connections: 8, requests: 1_000_000 });
    await eventually('some requests', () => existsSync(seen) && linesOf(seen).length > 100);
    await served.reload();
    const { requests, output } = await result;
    assert.equal(requests, linesOf(seen).length, output);
    t.diagnostic(`${requests} requests`);
  });
});

function skipOf(tool: string): string | false {
  return isInstalled(tool) ? false : `${tool} is not installed`;
}

function linesOf(path: string): string[] {
  return readFileSync(path, 'utf8').split('\n').slice(0, -1);
}
