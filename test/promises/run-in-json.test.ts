/** `run --log-format json`: whatever is said on either stream, by the app or by covet-pm, is one JSON object a line. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { ChildProcess } from 'node:child_process';
import { type CommandResult, Home, resultOf } from './home.ts';
import { freePort } from './ports.ts';
import { Deployment } from './release.ts';
import { said } from './served.ts';
import { eventually } from './eventually.ts';

interface Line {
  readonly time: string;
  readonly app: string | null;
  readonly slot: number | null;
  readonly stream: string;
  readonly message: string;
}

/** Every line of both, or the first that is none. */
function linesOf({ stdout, stderr }: CommandResult): { out: Line[]; err: Line[] } {
  const read = (text: string): Line[] =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => {
        const parsed = JSON.parse(line) as Line;
        assert.deepEqual(Object.keys(parsed), ['time', 'app', 'slot', 'stream', 'message'], line);
        assert.ok(Math.abs(Date.now() - Date.parse(parsed.time)) < 120_000, line);
        return parsed;
      });
  return { out: read(stdout), err: read(stderr) };
}

const JSON_FORMAT = ['--log-format', 'json'];

describe('run --log-format json', () => {
  test('tells each worker’s lines with its slot', async (t) => {
    const { home, child, ended } = await online(t);
    await eventually('both lines to be in the log', async () => (await home.covet('logs', 'app')).stdout.match(/listening/g)?.length === 2);
    child.kill('SIGTERM');
    const result = await ended;
    assert.equal(result.code, 0, said(result));
    const { out } = linesOf(result);
    assert.deepEqual(out.map(({ app, slot, stream }) => `${app} ${slot} ${stream}`).sort(), ['app 0 out', 'app 1 out']);
    for (const { message } of out) assert.match(message, /^listening \d+$/);
  });

  test('tells what the app wrote as text, JSON too, and how its worker ended', async (t) => {
    const home = Home.open(t);
    const deployment = new Deployment(join(home.work, 'app'), 'exits.cjs');
    deployment.release('ends', 'exits.cjs', `console.log('{"level":30}'); console.error('no\\tdatabase'); process.exit(7);`);
    const result = await resultOf(home.spawn(['run', deployment.script, '-i', '1', ...JSON_FORMAT, '--set', 'restart.startsMax=1']), 'run');
    assert.equal(result.code, 7, said(result));
    const { out, err } = linesOf(result);
    const facts = [...out, ...err].map(
      ({ app, slot, stream, message }) => `${app} ${slot} ${stream}: ${message.replace(/\d+ ms/, 'n ms')}`,
    );
    assert.deepEqual(facts, [
      'app 0 out: {"level":30}',
      'app 0 err: no\tdatabase',
      'app null covet: worker 0 exited with code 7 after n ms',
      // The app's words, without what stands before them in the log.
      'app null covet: `app` failed: worker 0 exited with code 7, 1 time before the app was up. Its last words: no\tdatabase.',
    ]);
  });

  test('tells what covet-pm refuses before there is a supervisor', async (t) => {
    const home = Home.open(t);
    for (const [args, code] of [
      [['none.cjs', ...JSON_FORMAT], 125],
      [['none.cjs', '--log-format=json', '--no-such-option'], 2],
    ] as const) {
      const result = await resultOf(home.spawn(['run', ...args]), 'run');
      assert.equal(result.code, code, said(result));
      const { out, err } = linesOf(result);
      assert.equal(out.length, 0);
      assert.deepEqual(
        err.map(({ stream }) => stream),
        ['covet'],
      );
    }
    assert.equal((await home.covet('run', 'none.cjs', '--log-format', 'xml')).code, 2);
  });

  test('tells the death of its supervisor, and ends with 125', async (t) => {
    const { home, supervisor, ended } = await online(t);
    process.kill(supervisor, 'SIGKILL');
    const result = await ended;
    assert.equal(result.code, 125, said(result));
    assert.match(linesOf(result).err.at(-1)!.message, /^covet-init: The supervisor exited \(signal 9 \(SIGKILL\)\)/);
    // Whoever is killed leaves its socket.
    rmSync(join(home.path, 'run/control.sock'));
  });
});

async function online(t: TestContext): Promise<{ home: Home; child: ChildProcess; supervisor: number; ended: Promise<CommandResult> }> {
  const home = Home.open(t);
  const deployment = new Deployment(join(home.work, 'app'), 'http.cjs');
  const child = home.spawn(['run', deployment.script, '-i', '2', ...JSON_FORMAT, '--env', `PORT=${await freePort()}`]);
  const ended = resultOf(child, 'run');
  const supervisor = await eventually('the app to be online', async () => {
    const list = await home.covet('list', '--json');
    return list.code === 0 && list.as('list').apps[0]?.status === 'online' && list.as('list').supervisor.pid;
  });
  return { home, child, supervisor, ended };
}
