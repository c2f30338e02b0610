/** `covet-pm run`: the foreground. Logs on stdout and stderr, a drain at SIGTERM and SIGINT, the app's own exit code. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test, type TestContext } from 'node:test';
import type { ChildProcess } from 'node:child_process';
import { LoadProcess } from '../load/load.ts';
import { DEADLINE_MS, within } from './eventually.ts';
import { Home, resultOf } from './home.ts';
import { freePort } from './ports.ts';
import { Deployment } from './release.ts';
import { said } from './served.ts';

const LIMITS = ['--min-healthy', '100', '--drain-timeout', '10000', '--kill-timeout', '2000'];

async function run(
  t: TestContext,
  fixture: string,
  args: readonly string[] = [],
): Promise<{ child: ChildProcess; home: Home; port: number; deployment: Deployment }> {
  const home = Home.open(t);
  const deployment = new Deployment(join(home.work, 'app'), fixture);
  const port = await freePort();
  const child = home.spawn(['run', deployment.script, '-i', '2', ...LIMITS, '--env', `PORT=${port}`, ...args]);
  return { child, home, port, deployment };
}

async function saysLine(child: ChildProcess, stream: 'stdout' | 'stderr', wanted: RegExp): Promise<void> {
  const search = async (): Promise<boolean> => {
    for await (const line of createInterface({ input: child[stream]! })) if (wanted.test(line)) return true;
    return false;
  };
  assert.ok(await within(`${wanted} on ${stream}`, search()), `it ended without saying ${wanted}`);
  child[stream]!.resume();
}

describe('run', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`shows the app's output and at ${signal} drains, exits 0 and leaves nothing`, async (t) => {
      const { child, home, port } = await run(t, 'slow-3s.cjs');
      await saysLine(child, 'stdout', /listening \d+/);
      const process = await LoadProcess.start();
      t.after(async () => process.close());
      const load = await process.begin({ kind: 'keepAlive', target: { host: '127.0.0.1', port }, connections: 4 });
      const ended = resultOf(child, 'run');
      child.kill(signal);
      const result = await ended;
      assert.equal(result.code, 0, said(result));
      const { lostBy } = await load.stop();
      assert.deepEqual(
        { torn: lostBy.torn, reset: lostBy.reset, empty: lostBy.empty },
        { torn: 0, reset: 0, empty: 0 },
        'an answer that was due was cut',
      );
      await home.assertNothingLeft();
    });
  }

  test('a second SIGTERM ends it at once', async (t) => {
    const { child, home } = await run(t, 'ignores-sigterm.cjs', ['--kill-timeout', '600000']);
    await saysLine(child, 'stdout', /listening \d+/);
    child.kill('SIGTERM');
    await saysLine(child, 'stdout', /ignored SIGTERM/);
    const ended = resultOf(child, 'run');
    child.kill('SIGTERM');
    await within('the end', ended);
    await home.assertNothingLeft();
  });

  for (const code of [0, 3]) {
    test(`an app that ends with ${code} ends it with ${code}`, async (t) => {
      const { child, home } = await run(t, 'exits.cjs', [
        '--env',
        `CODE=${code}`,
        '--set',
        'restart.delayMs=10',
        '--set',
        'restart.delayMaxMs=10',
      ]);
      const result = await resultOf(child, 'run');
      assert.equal(result.code, code, said(result));
      await home.assertNothingLeft();
    });
  }

  test('a single worker that exits with 0 at once is a job that is done, and is run once', async (t) => {
    const { child, home } = await run(t, 'exits.cjs', ['-i', '1']);
    const result = await resultOf(child, 'run');
    assert.equal(result.code, 0, said(result));
    assert.match(result.stdout, /^run \d+\n$/);
    assert.equal(result.stderr, '');
    await home.assertNothingLeft();
  });

  test('each end of a worker is a line on stderr, after what the app said last', async (t) => {
    const { child } = await run(t, 'throws-at-import.cjs', ['-i', '1', '--set', 'restart.startsMax=2']);
    const result = await resultOf(child, 'run');
    assert.equal(result.code, 1, said(result));
    const lines = result.stderr.split('\n').filter((line) => /^covet-pm: |^Error: no database|^Node\.js v/.test(line));
    const patterns = [
      ...[/^Error/, /^Node/, /^covet-pm: worker 0 exited with code 1 after \d+ ms; starts again in \d+ ms$/],
      ...[/^Error/, /^Node/, /^covet-pm: worker 0 exited with code 1 after \d+ ms$/, /^covet-pm: `app` failed: /],
    ];
    assert.equal(lines.length, patterns.length, said(result));
    for (const [at, pattern] of patterns.entries()) assert.match(lines[at]!, pattern);
  });

  test('an app that was up and crashes for ever is said to be degraded', async (t) => {
    const { child, home } = await run(t, 'exits-within-min-healthy.cjs', [
      ...['-i', '1', '--min-healthy', '0', '--env', 'EXIT_AFTER_MS=200'],
      ...['--set', 'restart.delayMs=10', '--set', 'restart.delayMaxMs=10', '--set', 'restart.intensity=2'],
    ]);
    await saysLine(child, 'stderr', /^covet-pm: app is degraded: 3 crashes within 60000 ms, the last: /);
    child.kill('SIGTERM');
    assert.equal((await resultOf(child, 'run')).code, 0);
    await home.assertNothingLeft();
  });

  test('an app that throws at import ends it with 1, the reason on stderr', async (t) => {
    const { child } = await run(t, 'throws-at-import.cjs', ['--set', 'restart.delayMs=10', '--set', 'restart.delayMaxMs=10']);
    const result = await resultOf(child, 'run');
    assert.equal(result.code, 1, said(result));
    assert.match(result.stderr, /no database configured/);
  });

  test('a name that another script has in this home is refused with 125', async (t) => {
    const { child, home, port } = await run(t, 'http.cjs', ['--name', 'web']);
    await saysLine(child, 'stdout', /listening \d+/);
    child.kill('SIGTERM');
    await resultOf(child, 'run');
    const other = new Deployment(join(home.work, 'other'), 'http.cjs');
    const result = await resultOf(home.spawn(['run', other.script, '--name', 'web', '--env', `PORT=${port}`]), 'run', DEADLINE_MS);
    assert.equal(result.code, 125, said(result));
    assert.match(result.stderr, /An app named `web` exists already/);
    await home.assertNothingLeft();
  });

  test('shows the output of an app that its home knows already', async (t) => {
    const { child, home, port, deployment } = await run(t, 'http.cjs');
    await saysLine(child, 'stdout', /listening \d+/);
    child.kill('SIGTERM');
    await resultOf(child, 'run');
    const again = home.spawn(['run', deployment.script, '--env', `PORT=${port}`, ...LIMITS]);
    await saysLine(again, 'stdout', /listening \d+/);
    again.kill('SIGTERM');
    assert.equal((await resultOf(again, 'run')).code, 0);
    await home.assertNothingLeft();
  });

  test('a stdout that nobody reads neither grows it nor keeps it from ending', async (t) => {
    const { child, home } = await run(t, 'floods-output.cjs', ['-i', '1']);
    await saysLine(child, 'stderr', /stdout is not read: its lines are dropped/);
    child.kill('SIGTERM');
    await within('the end', once(child, 'exit'));
    assert.equal(child.exitCode, 0);
    child.stdout?.resume();
    await home.assertNothingLeft();
  });

  test('an app killed by a signal ends it with 128 + the number', async (t) => {
    const { child } = await run(t, 'kills-itself.cjs', ['--set', 'restart.delayMs=10', '--set', 'restart.delayMaxMs=10']);
    const result = await resultOf(child, 'run');
    assert.equal(result.code, 137, said(result));
  });

  test('when nobody reads its output any more the app drains and it ends as SIGPIPE would end it', async (t) => {
    const { child, home } = await run(t, 'floods-output.cjs');
    await within('the first line', once(child.stdout!, 'data'));
    const ended = resultOf(child, 'run');
    child.stdout!.destroy();
    const result = await ended;
    assert.equal(result.code, 141, said(result));
    assert.doesNotMatch(result.stderr, /EPIPE/);
    await home.assertNothingLeft();
  });
});
