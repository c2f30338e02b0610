/** What a worker writes is in its file, each line once and whole, through reloads and rotation; and `logs` shows it. */
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { eventually, within } from './eventually.ts';
import { Home } from './home.ts';
import { said, Served } from './served.ts';
import { OWN_LOG_BYTES_MAX } from '../../supervisor/own-log.ts';
import type { CovetEvent } from '../../supervisor/protocol/events.ts';

const LINES = 5_000;
const DEATHS = 3;

function linesOf(served: Served, stream: 'out' | 'err'): string[] {
  const path = served.home.logFile(stream);
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];
}

/** Each of `tag`'s numbered lines is there once, in order, in each of `times` lives of its slot. */
function assertNumbered(lines: readonly string[], stream: string, tag: number, times: number): void {
  const numbers = lines.flatMap((line) => new RegExp(`^${stream} ${tag} (\\d+)$`).exec(line)?.[1] ?? []).map(Number);
  assert.deepEqual(
    numbers,
    Array.from({ length: LINES * times }, (_, i) => (i % LINES) + 1),
    `lines of slot ${tag} on ${stream}`,
  );
}

describe('logs', () => {
  test('every line of both streams of two workers is in the files once, in order, through a reload', async (t) => {
    const served = await Served.start(t, { app: 'numbered-lines.cjs', config: { env: { LINES: String(LINES) } } });
    await served.reload();
    for (const stream of ['out', 'err'] as const) {
      await eventually(
        'all lines to be written',
        () => linesOf(served, stream).filter((line) => line.startsWith(stream)).length >= LINES * 4,
      );
      for (const tag of [0, 1]) assertNumbered(linesOf(served, stream), stream, tag, 2);
    }
  });

  test('`logs` shows the last lines, of one stream where asked', async (t) => {
    const served = await Served.start(t, { app: 'numbered-lines.cjs', config: { env: { LINES: '100' }, instances: 1 } });
    await eventually('all lines to be written', () => linesOf(served, 'err').length >= 100);
    const both = await served.home.covet('logs', 'web', '--lines', '1000');
    assert.equal(both.code, 0, said(both));
    assert.ok(both.stdout.includes('out 0 100') && both.stdout.includes('err 0 100'), both.stdout.slice(-500));
    const err = await served.home.covet('logs', 'web', '--err', '--lines', '3');
    assert.deepEqual(
      err.stdout
        .trim()
        .split('\n')
        .map((line) => /err 0 \d+$/.exec(line)?.[0]),
      ['err 0 98', 'err 0 99', 'err 0 100'],
    );
  });

  test('`logs -f` shows a line as it comes', async (t) => {
    const served = await Served.start(t, { app: 'numbered-lines.cjs', config: { env: { LINES: '10' }, instances: 1 } });
    const following = served.home.spawn(['logs', 'web', '-f', '--lines', '100']);
    const lines = createInterface({ input: following.stdout! })[Symbol.asyncIterator]();
    const isSaid = async (): Promise<boolean> => {
      for (;;) {
        const { value, done } = await lines.next();
        if (done === true) return false;
        if (value.includes('out 0 10')) return true;
      }
    };
    try {
      // Those of the first worker say that it follows by now.
      assert.ok(await within('the old worker’s lines', isSaid()));
      await served.reload();
      assert.ok(await within('the new worker’s lines', isSaid()));
    } finally {
      following.kill('SIGINT');
      await once(following, 'exit');
    }
  });

  test('`logs -f` and `events -f` go on with the next supervisor: no line is missing, none is there twice', async (t) => {
    // Slowly: a reader that does not keep up is told that lines are left out.
    const config = { instances: 1, logs: { bytesMax: 20_000, filesMax: 100 }, env: { LINES: '5' } };
    const served = await Served.start(t, { app: 'counts.cjs', config, env: { COVET_TEST_FAULT: 'no-safe-mode' } });
    const { home } = served;
    const logs = new Output(home.spawn(['logs', 'web', '-f', '--lines', '0']));
    const events = new Output(home.spawn(['events', '-f', '--json']));
    try {
      for (let death = 0; death < DEATHS; death++) {
        const { supervisor } = await home.list();
        const seen = logs.lines.length;
        await eventually('lines to come', () => logs.lines.length > seen + 100);
        if (death === 0) assert.equal((await home.covet('upgrade')).code, 0);
        else process.kill(supervisor.pid, 'SIGKILL');
        await eventually('the next supervisor', async () => (await home.list()).supervisor.pid !== supervisor.pid);
      }
      const upgraded = logs.lines.length;
      await eventually('lines to come again', () => logs.lines.length > upgraded + 500);
      await served.reload();
      await eventually('the reload', () => events.lines.some((line) => line.includes('"reload.finished"')));
    } finally {
      await Promise.all([logs.end(), events.end()]);
    }
    // Else a file may be renamed between two that are read.
    await home.covet('stop', 'web');
    const written = numbersOf(allOf(home.path, 'web-out.log'));
    const shown = numbersOf(logs.lines);
    assert.deepEqual(shown, written.slice(written.indexOf(shown[0]!)).slice(0, shown.length));
    assert.match(logs.stderr, /^The supervisor was replaced; following the next one\.$/m);
    assert.doesNotMatch(logs.stderr, /left out/);
    const seqs = events.lines.map((line) => (JSON.parse(line) as CovetEvent).seq);
    assert.ok(
      seqs.every((seq, i) => i === 0 || seq === 1 || seq === seqs[i - 1]! + 1),
      `events are missing or repeated: ${seqs.join(' ')}`,
    );
  });

  test('files are rotated at bytesMax and no more than filesMax are kept', async (t) => {
    const served = await Served.start(t, {
      app: 'floods-output.cjs',
      config: { logs: { bytesMax: 200_000, filesMax: 3 }, drainTimeoutMs: 1_000 },
    });
    const files = (): string[] => readdirSync(join(served.home.path, 'logs')).filter((name) => name.startsWith('web-out.log'));
    await eventually('rotation', () => files().length >= 4);
    await served.home.covet('stop', 'web');
    assert.ok(files().length <= 4, files().join(' '));
    for (const name of files())
      assert.ok(statSync(join(served.home.path, 'logs', name)).size < 2_000_000, `${name} is larger than it may be`);
  });

  test("the supervisor's own log becomes `.1` when it is too long, and goes on", async (t) => {
    const home = Home.open(t);
    assert.equal((await home.covet('resurrect')).code, 0);
    const path = join(home.path, 'logs', 'supervisor.log');
    const before = `${'x'.repeat(OWN_LOG_BYTES_MAX)}\n`;
    appendFileSync(path, before);
    const { supervisor } = await home.list();
    process.kill(supervisor.pid, 'SIGKILL');
    await eventually('a new file', () => statSync(path).size < before.length);
    assert.ok(readFileSync(`${path}.1`, 'utf8').includes(before));
    assert.ok(!readFileSync(path).includes(0), 'it is written on where it had ended, and not where it begins');
  });

  test('a log that cannot be rotated is an event and a line of `doctor`, until it can be; no line is lost over it', async (t) => {
    const served = await Served.start(t, {
      app: 'numbered-lines.cjs',
      config: { instances: 1, logs: { bytesMax: 20_000, filesMax: 1 }, env: { LINES: String(LINES) } },
    });
    const { home } = served;
    const path = home.logFile('out');
    const last = `out 0 ${LINES}`;
    await eventually('all lines to be written', () => linesOf(served, 'out').includes(last));
    rmSync(`${path}.1`);
    mkdirSync(join(`${path}.1`, 'in the way'), { recursive: true });
    await served.reload();
    const events = await home.events();
    await events.waitFor('log.failed');
    await eventually('all lines to be written again', () => linesOf(served, 'out').filter((line) => line === last).length === 2);
    const lines = linesOf(served, 'out');
    assertNumbered(lines.slice(lines.indexOf(last) + 1), 'out', 0, 1);
    assert.deepEqual(
      events.of('log.failed').map(({ app, stream, action, reason }) => ({ app, stream, action, reason })),
      [{ app: 'web', stream: 'out', action: 'rotate', reason: 'EISDIR' }],
    );
    assert.deepEqual(await ofLogs(home), [`warning: ${path} cannot be rotated (EISDIR)`]);
    const shown = await home.covet('logs', 'web', '--out', '--lines', '100000');
    assert.equal(shown.code, 0, said(shown));

    rmSync(`${path}.1`, { recursive: true });
    await served.reload();
    await events.waitFor('log.recovered', ({ stream, action }) => stream === 'out' && action === 'rotate');
    assert.deepEqual(await ofLogs(home), []);
    assert.equal(events.of('log.failed').length, 1);
    assert.deepEqual(events.of('log.dropped'), []);
  });

  test('terminal escapes of an app are neutralised on a terminal', async (t) => {
    const served = await Served.start(t, { app: 'escape-sequences.cjs', config: { instances: 1 } });
    await eventually('the line to be written', () => linesOf(served, 'out').some((line) => line.includes('visible')));
    const shown = await inTerminal(served, ['logs', 'web', '--lines', '50']);
    assert.ok(shown.includes('visible'), JSON.stringify(shown));
    assert.ok(!shown.includes('\u001b]0;') && !shown.includes('\u001b[2J'), JSON.stringify(shown));
  });
});

/** What doctor says of the app's logs. */
async function ofLogs(home: Home): Promise<string[]> {
  const { findings } = (await home.covet('doctor', '--json')).as('doctor');
  return findings.filter(({ what }) => what === 'web: logs').map(({ level, found }) => `${level}: ${found}`);
}

/** Runs the command on a terminal of its own, by util-linux' script(1). */
async function inTerminal(served: Served, args: readonly string[]): Promise<string> {
  const plain = served.home.spawn(args);
  const command = plain.spawnargs.map((argument) => `'${argument}'`).join(' ');
  plain.kill('SIGKILL');
  const { spawn } = await import('node:child_process');
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    env: { ...served.home.env, TERM: 'xterm' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (piece: Buffer) => (text += piece.toString()));
  await once(child, 'close');
  return text;
}

/** What a command that goes on has printed. */
class Output {
  readonly lines: string[] = [];
  stderr = '';
  readonly #child: ChildProcess;

  constructor(child: ChildProcess) {
    this.#child = child;
    createInterface({ input: child.stdout! }).on('line', (line) => this.lines.push(line));
    child.stderr!.on('data', (piece: Buffer) => (this.stderr += piece.toString()));
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null) throw new Error(`Expected it to go on, it ended with ${this.#child.exitCode}: ${this.stderr}`);
    this.#child.kill('SIGINT');
    await once(this.#child, 'close');
  }
}

/** The lines of a log and of what it was rotated to, oldest first. */
function allOf(home: string, name: string): string[] {
  const folder = join(home, 'logs');
  const place = (file: string): number => Number(file.slice(name.length + 1) || 0);
  const files = readdirSync(folder).filter((file) => file.startsWith(name));
  return files.sort((a, b) => place(b) - place(a)).flatMap((file) => readFileSync(join(folder, file), 'utf8').split('\n'));
}

function numbersOf(lines: readonly string[]): number[] {
  return lines.flatMap((line) => /^count 0 (\d+)$/.exec(line)?.[1] ?? []).map(Number);
}
