/** Who follows an app's logs hears each line once, however often its files are rotated, closed and opened. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import type { LogStore, LogStream } from '../../../supervisor/logs/log-store.ts';
import { logs } from '../../../supervisor/operations/logs.ts';
import type { Sink } from '../../../supervisor/operations/handlers.ts';
import type { LogItem } from '../../../supervisor/protocol/operations.ts';
import { closeAll, makePipe } from '../../native/pipe.ts';
import { eventually } from '../../promises/eventually.ts';
import { coreIn, storeIn } from '../core.ts';

const OPTIONS = { timestamps: false, slots: false, bytesMax: 0, filesMax: 3, stallMs: 1_000 };

/** Writes to an app's stdout as the worker of slot 0 would; what it wrote is in the file when it resolves. */
function writeLines(store: LogStore, app: string, ...lines: readonly string[]): Promise<void> {
  return writeStreams(store, app, ['out'], lines);
}

async function writeStreams(store: LogStore, app: string, streams: readonly LogStream[], lines: readonly string[]): Promise<void> {
  const folder = store.files(app).out.slice(0, -`/${app}-out.log`.length);
  const pipes = { out: makePipe(folder), err: makePipe(folder) };
  store.attach(app, 0, pipes.out.read, pipes.err.read);
  for (const line of lines) for (const stream of streams) writeSync(pipes[stream].write, `${line}\n`);
  for (const { read, write } of Object.values(pipes)) closeAll(read, write);
  await store.flush(app);
}

async function opened(t: TestContext, options = OPTIONS): Promise<LogStore> {
  const store = storeIn(t);
  await store.open('web', options);
  return store;
}

test('a file that was rotated while nobody followed is not told again', async (t) => {
  const store = await opened(t, { ...OPTIONS, bytesMax: 20 });
  await writeLines(store, 'web', 'old line one', 'old line two', 'old line three');
  await eventually('the rotation', () => existsSync(`${store.files('web').out}.2`));
  const told: string[] = [];
  store.follow('web', ['out'], ({ line }) => told.push(line));
  await writeLines(store, 'web', 'new');
  await eventually('the new line', () => told.includes('new'));
  assert.deepEqual(told, ['new']);
});

test('right after a rotation `logs`, `describe` and a failure still have the last lines of each stream', async (t) => {
  const core = coreIn(t, { apps: ['web'] });
  await core.logs.open('web', { ...OPTIONS, bytesMax: 20 });
  const mark = await core.logs.mark('web', 'err');
  await writeStreams(core.logs, 'web', ['out', 'err'], ['line one', 'line two', 'line three', 'line four']);
  for (const stream of ['out', 'err'] as const) {
    assert.ok(existsSync(`${core.logs.files('web')[stream]}.1`), 'it was not rotated');
    assert.deepEqual(await core.logs.lastLines('web', stream, 3), ['line two', 'line three', 'line four']);
    const told: string[] = [];
    const sink: Sink<LogItem> = { item: ({ line }) => told.push(line) > 0, room: async () => {}, end: () => {} };
    await logs({ core, progress: () => {} }, { app: 'web', streams: stream, lines: 3, follow: false, after: [] }, sink);
    assert.deepEqual(told, ['line two', 'line three', 'line four']);
  }
  assert.deepEqual(await core.logs.lastLines('web', 'err', 10, mark), ['line one', 'line two', 'line three', 'line four']);
});

test('an app that is closed and opened again goes on being followed', async (t) => {
  const store = await opened(t);
  const told: string[] = [];
  const stop = store.follow('web', ['out'], ({ line }) => told.push(line));
  await writeLines(store, 'web', 'first life');
  store.close('web');
  await store.open('web', OPTIONS);
  await writeLines(store, 'web', 'second life');
  await eventually('the second life', () => told.includes('second life'));
  assert.deepEqual(told, ['first life', 'second life']);
  stop();
});

test('with `slots` each line has its slot before it, behind its time', async (t) => {
  const plain = await opened(t, { ...OPTIONS, slots: true });
  await writeLines(plain, 'web', 'one', '', 'three');
  assert.equal(readFileSync(plain.files('web').out, 'utf8'), '0 one\n0 \n0 three\n');
  const stamped = await opened(t, { ...OPTIONS, slots: true, timestamps: true, bytesMax: 70 });
  await writeLines(stamped, 'web', 'first', 'second', 'third');
  const { out } = stamped.files('web');
  assert.match(readFileSync(`${out}.1`, 'utf8'), /^\S{24} 0 first\n\S{24} 0 second\n$/);
  assert.match(readFileSync(out, 'utf8'), /^\S{24} 0 third\n$/);
});

test('who follows all apps hears one that is opened later', async (t) => {
  const store = await opened(t);
  const told: string[] = [];
  store.follow(null, ['out', 'err'], ({ app, stream, line }) => told.push(`${app} ${stream} ${line}`));
  await store.open('late', OPTIONS);
  await writeLines(store, 'late', 'here');
  await eventually('the line', () => told.length > 0);
  assert.deepEqual(told, ['late out here']);
});

test('an app has both of its files or none', async (t) => {
  const store = storeIn(t);
  const { out, err } = store.files('web');
  mkdirSync(err);
  await assert.rejects(store.open('web', OPTIONS), { code: 'EISDIR' });
  rmdirSync(err);
  await store.open('web', OPTIONS);
  assert.ok(existsSync(err), 'the second file was never opened');
  await writeLines(store, 'web', 'here');
  assert.equal(readFileSync(out, 'utf8'), 'here\n');
});

test('between the last lines and those that follow nothing is lost and nothing told twice', async (t) => {
  const core = coreIn(t, { apps: ['web'] });
  await core.logs.open('web', OPTIONS);
  await writeLines(core.logs, 'web', 'one', 'two', 'three');
  const told: string[] = [];
  const sink: Sink<LogItem> = {
    item: ({ line }) => told.push(line) < 0, // full after each
    room: async () => {
      if (told.length === 2) await writeLines(core.logs, 'web', 'four'); // while the tail is told
    },
    end: () => {},
  };
  const stop = await logs({ core, progress: () => {} }, { app: 'web', streams: 'both', lines: 2, follow: true, after: [] }, sink);
  await writeLines(core.logs, 'web', 'five');
  await eventually('the last line', () => told.includes('five'));
  assert.deepEqual(told, ['two', 'three', 'four', 'five']);
  stop();
});
