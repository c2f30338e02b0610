/** LogCopier: every line of every writer is in the files once, whole and in order, whatever happens to the disk, the file or us. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { binary } from '../../native/index.ts';
import { Copying } from './copying.ts';
import { closeAll, DEADLINE_MS, fixture, makePipe, openFds, systemError, temporaryFolder } from './pipe.ts';

const timeout = DEADLINE_MS;

interface Lines {
  /** The numbers of each writer's lines, in the order of the text. */
  readonly numbers: Record<string, number[]>;
  /** Lines that no writer wrote like this. */
  readonly torn: string[];
}

function linesOf(text: string): Lines {
  const numbers: Record<string, number[]> = {};
  const torn: string[] = [];
  for (const line of text.split('\n').slice(0, -1)) {
    const [, name, number] = /^(\w+) (\d+) \.* \1 \2$/.exec(line) ?? [];
    if (name === undefined) torn.push(line.slice(0, 100));
    else (numbers[name] ??= []).push(Number(number));
  }
  return { numbers, torn };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

function setUp(t: TestContext): { folder: string; path: string; copying: Copying } {
  const folder = temporaryFolder(t);
  return { folder, path: join(folder, 'app.log'), copying: new Copying(t, folder) };
}

test('two writers of 20,000 lines each: nothing lost, torn, repeated or out of order', { timeout }, async (t) => {
  const { path, copying } = setUp(t);
  copying.openStream(1, path);
  const writers = ['a', 'b'].map((name) => copying.writer(1, name, 20_000, 100));
  await copying.ended(...writers.map((writer) => writer.source));
  const text = readFileSync(path, 'utf8');
  assert.deepEqual(linesOf(text), { numbers: { a: range(20_000), b: range(20_000) }, torn: [] });
  assert.deepEqual(copying.copier.stats(), { bytes: text.length, lines: 40_000, droppedBytes: 0 });
  assert.deepEqual(copying.grown.at(-1), { size: text.length, rotated: false });
  assert.deepEqual(copying.troubles, []);
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('lines longer than a pipe are whole too, beside a writer of short ones', { timeout }, async (t) => {
  const { path, copying } = setUp(t);
  copying.openStream(1, path);
  const writers = [
    copying.writer(1, 'long', 100, 200_000),
    copying.writer(1, 'longer', 20, 900_000),
    copying.writer(1, 'short', 20_000, 50),
  ];
  await copying.ended(...writers.map((writer) => writer.source));
  assert.deepEqual(linesOf(readFileSync(path, 'utf8')), {
    numbers: { long: range(100), longer: range(20), short: range(20_000) },
    torn: [],
  });
});

test('a line without its newline is written at the end of its writer', { timeout }, async (t) => {
  const { path, copying } = setUp(t);
  copying.openStream(1, path);
  const { source, write } = copying.pipe(1);
  writeSync(write, 'whole\nnot yet');
  closeSync(write);
  await copying.ended(source);
  assert.equal(readFileSync(path, 'utf8'), 'whole\nnot yet');
});

test('an open line is not shown at once, then shown without its newline; only another writer ends it', { timeout }, async (t) => {
  const { path, copying } = setUp(t);
  copying.openStream(1, path);
  const [one, other] = [copying.pipe(1), copying.pipe(1)];
  writeSync(one.write, 'done\nLoading');
  await copying.until(() => copying.grown.length === 1);
  assert.equal(readFileSync(path, 'utf8'), 'done\n');
  await copying.until(() => copying.grown.length === 2);
  assert.equal(readFileSync(path, 'utf8'), 'done\nLoading');
  writeSync(one.write, '...');
  await copying.copier.flush(1);
  assert.equal(readFileSync(path, 'utf8'), 'done\nLoading...');
  writeSync(other.write, 'other\n');
  await copying.copier.flush(1);
  writeSync(one.write, ' ready\n');
  await copying.copier.flush(1);
  assert.equal(readFileSync(path, 'utf8'), 'done\nLoading...\nother\n ready\n');
  closeAll(one.write, other.write);
});

test('flush resolves when everything that is in the pipes now is in the file, open lines too', { timeout }, async (t) => {
  const { folder, path, copying } = setUp(t);
  copying.openStream(1, path);
  copying.openStream(2, join(folder, 'other.log'));
  const pipes = range(20).map(() => copying.pipe(1));
  let expected = 0;
  for (let round = 0; round < 20; round++) {
    for (const { write } of pipes) expected += writeSync(write, `${'x'.repeat(round * 97)}\nopen`);
    await copying.copier.flush(1);
    assert.equal(copying.copier.stats().bytes, expected);
    // Twenty open lines, each ended before the next writer's.
    assert.equal(readFileSync(path, 'utf8').split('open').length - 1, 20 * (round + 1));
  }
  await Promise.all([copying.copier.flush(2), copying.copier.flush(2), copying.copier.flush(1)]);
  closeAll(...pipes.map(({ write }) => write));
});

test('rotation keeps every line over the chain, and each file within its size', { timeout }, async (t) => {
  const { folder, path, copying } = setUp(t);
  const maxBytes = 100_000;
  copying.openStream(1, path, { maxBytes, files: 100 });
  const writers = ['a', 'b'].map((name) => copying.writer(1, name, 20_000, 100));
  await copying.ended(...writers.map((writer) => writer.source));
  const names = readdirSync(folder).filter((name) => name.startsWith('app.log'));
  const total = names.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  assert.ok(names.length >= total / maxBytes && names.length <= 1 + total / (maxBytes - 200), `${names.length} files of ${total} bytes`);
  const chain = range(names.length).map((i) => join(folder, i === 0 ? 'app.log' : `app.log.${i}`));
  for (const file of chain) assert.ok(statSync(file).size <= maxBytes);
  const text = chain
    .toReversed()
    .map((file) => readFileSync(file, 'utf8'))
    .join('');
  assert.deepEqual(linesOf(text), { numbers: { a: range(20_000), b: range(20_000) }, torn: [] });
  assert.ok(copying.grown.some((grown) => grown.rotated));
});

test('rotation keeps as many files as it is told, and none inside a line', { timeout }, async (t) => {
  const { folder, path, copying } = setUp(t);
  copying.openStream(1, path, { maxBytes: 1_000, files: 2 });
  const { source } = copying.writer(1, 'a', 50, 3_000);
  await copying.ended(source);
  assert.deepEqual(readdirSync(folder).sort(), ['app.log', 'app.log.1', 'app.log.2']);
  const numbers = ['app.log.2', 'app.log.1', 'app.log'].map((name) => linesOf(readFileSync(join(folder, name), 'utf8')));
  assert.deepEqual(
    numbers,
    [47, 48, 49].map((number) => ({ numbers: { a: [number] }, torn: [] })),
  );

  copying.openStream(2, join(folder, 'single.log'), { maxBytes: 1_000, files: 0 });
  const second = copying.writer(2, 'b', 100, 100);
  await copying.ended(second.source);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('single')),
    ['single.log'],
  );
  assert.ok(linesOf(readFileSync(join(folder, 'single.log'), 'utf8')).numbers['b']?.at(-1) === 99);
});

test('a rotation that cannot be made is told once, the old file goes on, and it is told when it is well again', { timeout }, async (t) => {
  const { folder, path, copying } = setUp(t);
  mkdirSync(join(folder, 'app.log.1', 'in the way'), { recursive: true });
  copying.openStream(1, path, { maxBytes: 10_000, files: 1 });
  const { source } = copying.writer(1, 'a', 1_000, 100);
  await copying.ended(source);
  assert.deepEqual(linesOf(readFileSync(path, 'utf8')), { numbers: { a: range(1_000) }, torn: [] });
  assert.deepEqual(copying.troubles, [{ action: 'rotate', code: 'EISDIR' }]);
  rmSync(join(folder, 'app.log.1'), { recursive: true });
  const { write } = copying.pipe(1);
  await copying.until(() => (writeSync(write, 'more\n'), copying.troubles.length > 1));
  closeSync(write);
  assert.deepEqual(copying.troubles[1], { action: 'rotate', code: '' });
  assert.ok(existsSync(join(folder, 'app.log.1')) && !existsSync(join(folder, 'app.log.new')));
});

test('a rotation that has no new file moves none of the old ones, and is tried again', { timeout }, async (t) => {
  const { folder, path, copying } = setUp(t);
  const older = ['app.log.1', 'app.log.2'] as const;
  for (const name of older) writeFileSync(join(folder, name), `${name}\n`);
  mkdirSync(join(folder, 'app.log.new'));
  copying.openStream(1, path, { maxBytes: 1_000, files: 5 });
  const { write } = copying.pipe(1);
  const line = `${'.'.repeat(999)}\n`;
  for (let i = 0; i < 3; i++) {
    writeSync(write, line);
    await copying.copier.flush(1);
    copying.copier.reopen(); // and the next rotation is due at once
  }
  assert.equal(readFileSync(path, 'utf8'), line.repeat(3));
  for (const name of older) assert.equal(readFileSync(join(folder, name), 'utf8'), `${name}\n`);
  assert.deepEqual(copying.troubles, [{ action: 'rotate', code: 'EISDIR' }]);

  rmdirSync(join(folder, 'app.log.new'));
  writeSync(write, line);
  await copying.copier.flush(1);
  closeSync(write);
  assert.deepEqual(readdirSync(folder).sort(), ['app.log', 'app.log.1', 'app.log.2', 'app.log.3']);
  assert.equal(readFileSync(join(folder, 'app.log.3'), 'utf8'), 'app.log.2\n');
  assert.equal(readFileSync(path, 'utf8'), line);
  assert.deepEqual(copying.troubles.at(-1), { action: 'rotate', code: '' });
});

test('a rotation that fails half way pushes no file off the end, however often it is tried', { timeout }, async (t) => {
  const folder = temporaryFolder(t);
  const disk = smallDisk(t, 256);
  if (disk === undefined) return;
  const path = join(disk, 'app.log');
  for (const number of [1, 2, 3]) writeFileSync(`${path}.${number}`, `${number}\n`);
  execFileSync('mount', ['--bind', `${path}.1`, `${path}.1`]); // cannot be moved: EBUSY
  const copying = new Copying(t, folder);
  copying.openStream(1, path, { maxBytes: 1_000, files: 4 });
  const { write } = copying.pipe(1);
  for (let i = 0; i < 4; i++) {
    writeSync(write, `${'.'.repeat(999)}\n`);
    await copying.copier.flush(1);
    copying.copier.reopen(); // and the next rotation is due at once
  }
  closeSync(write);
  assert.deepEqual(copying.troubles, [{ action: 'rotate', code: 'EBUSY' }]);
  assert.deepEqual(
    [1, 3, 4].map((number) => readFileSync(`${path}.${number}`, 'utf8')),
    ['1\n', '2\n', '3\n'],
  );
  assert.equal(readFileSync(path, 'utf8').length, 4_000);
});

test('timestamps stand before every line, and only there', { timeout }, async (t) => {
  const { folder, path, copying } = setUp(t);
  copying.openStream(1, path, { timestamps: true, maxBytes: 50_000, files: 100 });
  const began = Date.now();
  const writers = [copying.writer(1, 'a', 5_000, 100), copying.writer(1, 'b', 5_000, 100), copying.writer(1, 'long', 10, 200_000)];
  await copying.ended(...writers.map((writer) => writer.source));
  const open = copying.pipe(1);
  writeSync(open.write, 'half');
  await copying.copier.flush(1);
  writeSync(open.write, ' whole\n');
  await copying.copier.flush(1);
  closeSync(open.write);

  const names = readdirSync(folder).filter((name) => name.startsWith('app.log'));
  const chain = range(names.length).map((i) => join(folder, i === 0 ? 'app.log' : `app.log.${i}`));
  const text = chain
    .toReversed()
    .map((file) => readFileSync(file, 'utf8'))
    .join('');
  const lines = text.split('\n').slice(0, -1);
  let last = began - 1;
  for (const line of lines) {
    assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [a-z]/);
    const at = Date.parse(line.slice(0, 24));
    assert.ok(at >= last && at <= Date.now(), line.slice(0, 60));
    last = at;
  }
  assert.match(lines.at(-1) ?? '', /Z half whole$/);
  const bare = lines.slice(0, -1).map((line) => `${line.slice(25)}\n`);
  assert.deepEqual(linesOf(bare.join('')), { numbers: { a: range(5_000), b: range(5_000), long: range(10) }, torn: [] });
});

test('a copier that is killed loses nothing: the next one goes on where the file ends', { timeout }, async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'app.log');
  const { read, write } = makePipe(folder);
  const lines = 60_000;
  const writer = spawn(process.execPath, [fixture('writes-lines.mjs'), 'a', `${lines}`, '200'], { stdio: ['ignore', write, 'inherit'] });
  closeSync(write);
  const kills = 8;
  for (let round = 0; ; round++) {
    const copier = spawn(process.execPath, [fixture('copies-logs.mjs'), binary('covet.node'), path], {
      stdio: ['ignore', 'pipe', 'inherit', read],
    });
    const exited = once(copier, 'exit');
    assert.ok(copier.stdout !== null);
    for await (const line of createInterface({ input: copier.stdout })) {
      assert.match(line, /^(grown|end)/);
      if (line.startsWith('grown') && round < kills) copier.kill('SIGKILL');
    }
    const [code] = (await exited) as [number | null];
    if (code === 0) {
      assert.ok(round > 0, 'the first copier was done before it could be killed');
      break;
    }
  }
  closeSync(read);
  assert.equal(writer.exitCode, 0);

  const { numbers, torn } = linesOf(readFileSync(path, 'utf8'));
  const seen = new Set<number>();
  const firsts = (numbers['a'] ?? []).filter((number) => !seen.has(number) && seen.add(number));
  assert.deepEqual(firsts, range(lines));
  // What a kill cuts inside a write stands on a line of its own, and comes again whole.
  assert.ok(torn.length <= kills && torn.every((line) => line.startsWith('a ') || 'a '.startsWith(line)), torn.join('\n'));
});

test('lines after a file that ends inside one begin on their own', { timeout }, async (t) => {
  const { path, copying } = setUp(t);
  writeFileSync(path, 'whole\ncut he');
  copying.openStream(1, path);
  const { write } = copying.pipe(1);
  writeSync(write, 'next\n');
  await copying.copier.flush(1);
  assert.equal(readFileSync(path, 'utf8'), 'whole\ncut he\nnext\n');
  closeSync(write);
});

/** A file system of a few hundred kilobytes; undefined, and the test skipped, where none can be mounted. */
function smallDisk(t: TestContext, kilobytes: number): string | undefined {
  const disk = mkdtempSync(join(tmpdir(), 'covet-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', disk], { stdio: 'ignore' });
  } catch {
    rmdirSync(disk);
    t.skip('needs to mount a tmpfs');
    return undefined;
  }
  t.after(() => {
    // Lazily: the copier closes its file when its thread has ended.
    execFileSync('umount', ['--lazy', disk]);
    rmdirSync(disk);
  });
  return disk;
}

test('a full disk that is cleared in time costs nothing, and leaves no half line', { timeout }, async (t) => {
  const folder = temporaryFolder(t);
  const disk = smallDisk(t, 256);
  if (disk === undefined) return;
  const copying = new Copying(t, folder);
  const [path, ballast] = [join(disk, 'app.log'), join(disk, 'ballast')];
  writeFileSync(ballast, Buffer.alloc(100_000));
  copying.openStream(1, path);
  const { source } = copying.writer(1, 'a', 2_200, 100);
  await copying.until(() => copying.troubles.length > 0);
  assert.deepEqual(copying.troubles, [{ action: 'write', code: 'ENOSPC' }]);
  assert.equal(readFileSync(path, 'utf8').at(-1), '\n');
  const flushed = copying.copier.flush(1);
  rmSync(ballast);
  await copying.ended(source);
  await flushed;
  assert.deepEqual(linesOf(readFileSync(path, 'utf8')), { numbers: { a: range(2_200) }, torn: [] });
  assert.deepEqual(copying.troubles.at(-1), { action: 'write', code: '' });
  assert.equal(copying.copier.stats().droppedBytes, 0);
});

test('a disk that stays full blocks no writer for ever: what is given up is counted, what is kept is whole', { timeout }, async (t) => {
  const folder = temporaryFolder(t);
  const disk = smallDisk(t, 256);
  if (disk === undefined) return;
  const copying = new Copying(t, folder);
  const path = join(disk, 'app.log');
  copying.openStream(1, path, { stallMs: 300 });
  copying.openStream(2, join(folder, 'elsewhere.log'));
  const full = copying.writer(1, 'a', 20_000, 100);
  const free = copying.writer(2, 'b', 20_000, 100);
  await copying.ended(free.source, full.source);
  assert.equal(full.process.exitCode ?? (await once(full.process, 'exit'))[0], 0);

  const text = readFileSync(path, 'utf8');
  const { numbers, torn } = linesOf(text);
  assert.deepEqual(torn, []);
  assert.ok((numbers['a']?.length ?? 0) > 1_000);
  const { bytes, droppedBytes } = copying.copier.stats();
  const written = range(20_000).reduce((sum, i) => sum + `a ${i} ${'.'.repeat(80)} a ${i}\n`.length, 0);
  const elsewhere = statSync(join(folder, 'elsewhere.log')).size;
  assert.ok(droppedBytes > 0);
  assert.equal(text.length + droppedBytes, written);
  assert.equal(bytes, text.length + elsewhere);
  assert.deepEqual(copying.troubles[0], { action: 'write', code: 'ENOSPC' });
  assert.ok(copying.dropped.every(({ code }) => code === 'ENOSPC'));
  assert.equal(
    copying.dropped.reduce((sum, { bytes: each }) => sum + each, 0),
    droppedBytes,
  );
  assert.deepEqual(linesOf(readFileSync(join(folder, 'elsewhere.log'), 'utf8')), { numbers: { b: range(20_000) }, torn: [] });
});

test('a file that is deleted begins anew with the next line', { timeout }, async (t) => {
  const { folder, path, copying } = setUp(t);
  copying.openStream(1, path, { timestamps: false });
  const [one, other] = [copying.pipe(1), copying.pipe(1)];
  writeSync(one.write, 'before\nopen');
  await copying.copier.flush(1);
  rmSync(path);
  writeSync(other.write, 'after\n');
  await copying.copier.flush(1);
  assert.equal(readFileSync(path, 'utf8'), 'after\n');
  writeSync(other.write, 'next\n');
  await copying.copier.flush(1);
  assert.equal(readFileSync(path, 'utf8'), 'after\nnext\n');
  // Deleted, and somebody made another one.
  rmSync(path);
  writeFileSync(path, 'theirs\n');
  writeSync(other.write, 'ours\n');
  await copying.copier.flush(1);
  assert.equal(readFileSync(path, 'utf8'), 'theirs\nours\n');
  assert.deepEqual(copying.troubles, []);

  const gone = join(folder, 'gone');
  mkdirSync(gone);
  copying.openStream(2, join(gone, 'app.log'), { stallMs: 0 });
  const third = copying.pipe(2);
  rmSync(gone, { recursive: true });
  writeSync(third.write, 'nowhere\n');
  await copying.copier.flush(2);
  await copying.until(() => copying.dropped.some(({ code, bytes }) => code === 'ENOENT' && bytes === 8));
  const actions = () => copying.troubles.map(({ action, code }) => `${action} ${code}`).sort();
  assert.deepEqual(actions(), ['open ENOENT', 'write ENOENT']);
  mkdirSync(gone);
  writeSync(third.write, 'here\n');
  await copying.copier.flush(2);
  assert.equal(readFileSync(join(gone, 'app.log'), 'utf8'), 'here\n');
  assert.deepEqual(actions(), ['open ', 'open ENOENT', 'write ', 'write ENOENT']);
  closeAll(one.write, other.write, third.write);
});

test('a file that is moved away, with none in its place, is begun anew within a second', { timeout }, async (t) => {
  const { path, copying } = setUp(t);
  copying.openStream(1, path);
  const { write } = copying.pipe(1);
  writeSync(write, 'before\n');
  await copying.copier.flush(1);
  renameSync(path, `${path}.moved`);
  let lines = 0;
  const began = Date.now();
  while (!existsSync(path)) {
    assert.ok(Date.now() - began < DEADLINE_MS / 2, 'no new file');
    writeSync(write, `${lines++}\n`);
    await copying.copier.flush(1);
  }
  const text = readFileSync(`${path}.moved`, 'utf8') + readFileSync(path, 'utf8');
  assert.equal(
    text,
    `before\n${range(lines)
      .map((i) => `${i}\n`)
      .join('')}`,
  );
  closeSync(write);
});

test('a file that cannot be opened again is told, and the old one goes on until it can', { timeout }, async (t) => {
  const { folder, path, copying } = setUp(t);
  copying.openStream(1, path);
  const { write } = copying.pipe(1);
  renameSync(path, join(folder, 'moved.log'));
  mkdirSync(path);
  for (const line of ['one\n', 'two\n']) {
    copying.copier.reopen();
    writeSync(write, line);
    await copying.copier.flush(1);
  }
  assert.equal(readFileSync(join(folder, 'moved.log'), 'utf8'), 'one\ntwo\n');
  assert.deepEqual(copying.troubles, [{ action: 'open', code: 'EISDIR' }]);
  rmdirSync(path);
  writeFileSync(path, 'theirs\n');
  await copying.until(() => (writeSync(write, 'more\n'), copying.troubles.length > 1));
  closeSync(write);
  assert.deepEqual(copying.troubles[1], { action: 'open', code: '' });
  assert.match(readFileSync(path, 'utf8'), /^theirs\n(more\n)+$/);
});

test('reopen follows a file that was moved away, and a truncated one is measured anew', { timeout }, async (t) => {
  const { folder, path, copying } = setUp(t);
  copying.openStream(1, path);
  const { write } = copying.pipe(1);
  writeSync(write, 'one\n');
  await copying.copier.flush(1);
  renameSync(path, join(folder, 'moved.log'));
  writeSync(write, 'two\n');
  await copying.copier.flush(1);
  assert.ok(!existsSync(path));
  copying.copier.reopen();
  writeSync(write, 'three\n');
  await copying.copier.flush(1);
  assert.equal(readFileSync(join(folder, 'moved.log'), 'utf8'), 'one\ntwo\n');
  assert.equal(readFileSync(path, 'utf8'), 'three\n');

  truncateSync(path);
  writeSync(write, 'four\n');
  await copying.copier.flush(1);
  assert.equal(readFileSync(path, 'utf8'), 'four\n');
  assert.equal(copying.grown.at(-1)?.size, 5);
  closeSync(write);
});

test('a FIFO as log takes what its reader takes, in order', { timeout }, async (t) => {
  const { folder, path, copying } = setUp(t);
  execFileSync('mkfifo', [path]);
  assert.throws(() => copying.openStream(1, path), systemError('ENXIO', 'open'));
  const reader = spawn('sh', ['-c', `exec 3<>"$1"; echo open; read go; exec cat <&3`, 'sh', path], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(reader.stdout, 'data');
  copying.openStream(1, path, { timestamps: true, maxBytes: 1_000, files: 2 });
  const { source } = copying.writer(1, 'a', 5_000, 100);
  // Nobody reads yet: it is full with less than the half of these lines.
  await copying.until(() => (copying.grown.at(-1)?.size ?? 0) > 4_096);
  let text = '';
  const complete = new Promise<void>((resolve) => {
    reader.stdout.on('data', (chunk) => {
      text += chunk;
      if (text.includes(' a 4999\n')) resolve();
    });
  });
  reader.stdin.write('go\n');
  await copying.ended(source);
  await complete;
  reader.kill();
  assert.equal(copying.copier.stats().droppedBytes, 0);
  assert.deepEqual(copying.troubles, []);
  const bare = text.replace(/^.{25}/gm, '');
  assert.deepEqual(linesOf(bare), { numbers: { a: range(5_000) }, torn: [] });
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('app')),
    ['app.log'],
  );
});

test('/dev/null is a log too', { timeout }, async (t) => {
  const { copying } = setUp(t);
  copying.openStream(1, '/dev/null', { maxBytes: 1_000 });
  const { source } = copying.writer(1, 'a', 5_000, 100);
  await copying.ended(source);
  assert.equal(copying.copier.stats().lines, 5_000);
  assert.ok(statSync('/dev/null').isCharacterDevice());
});

test('closeStream writes what its pipes hold, and leaves the rest to whoever else has them', { timeout }, async (t) => {
  const { folder, path, copying } = setUp(t);
  copying.openStream(1, path);
  copying.openStream(2, join(folder, 'barrier.log'));
  const { read, write } = makePipe(folder);
  copying.copier.addSource(1, 1, read);
  writeSync(write, 'last words');
  copying.copier.closeStream(1);
  await copying.copier.flush(2);
  assert.equal(readFileSync(path, 'utf8'), 'last words');
  writeSync(write, 'for another');
  const buffer = Buffer.alloc(100);
  assert.equal(buffer.toString('utf8', 0, readSync(read, buffer)), 'for another');
  assert.ok(!copying.hasEnded(1));
  closeAll(read, write);
  copying.openStream(1, path);
});

test('what cannot be opened or added is refused as by the system', (t) => {
  const { folder, path, copying } = setUp(t);
  assert.throws(
    () => copying.openStream(1, join(folder, 'none', 'app.log')),
    (error: NodeJS.ErrnoException) => systemError('ENOENT', 'open')(error) && error.path === join(folder, 'none', 'app.log'),
  );
  assert.throws(() => copying.openStream(1, folder), systemError('EISDIR', 'open'));
  if (process.getuid?.() !== 0) assert.throws(() => copying.openStream(1, '/etc/passwd'), systemError('EACCES', 'open'));
  copying.openStream(1, path);
  assert.throws(() => copying.openStream(1, path), /Expected `id` to be one that is not open, got 1/);
  assert.throws(() => copying.copier.addSource(2, 1, 0), /Expected `streamId` to be the id of an open stream, got 2/);
  const file = openSync(path, 'r');
  assert.throws(() => copying.copier.addSource(1, 1, file), systemError('EBADF', 'fcntl'));
  closeSync(file);
  assert.throws(() => copying.copier.flush(7), /Expected `streamId`/);
  assert.throws(
    () => copying.copier.openStream(2, path, {} as never),
    /Expected `options.maxBytes` to be an integer from 0 to 9007199254740991, got undefined/,
  );
});

test('close rejects what still waits, and nothing is told after it', { timeout }, async (t) => {
  const { folder, path, copying } = setUp(t);
  copying.openStream(1, path);
  const { read, write } = makePipe(folder);
  copying.copier.addSource(1, 1, read);
  const flushed = copying.copier.flush(1);
  copying.copier.close();
  copying.copier.close();
  await assert.rejects(flushed, systemError('ECANCELED', 'flush'));
  assert.throws(() => copying.copier.openStream(2, path, { maxBytes: 0, files: 0, timestamps: false, stallMs: 0 }), systemError('EBADF'));
  assert.equal(copying.copier.stats().droppedBytes, 0);
  closeAll(read, write);
});

test('thousands of sources, streams and copiers leave no descriptor behind', { timeout }, async (t) => {
  const { folder, copying } = setUp(t);
  copying.openStream(0, join(folder, 'barrier.log'));
  await copying.copier.flush(0);
  const before = openFds().size;
  const { read, write } = makePipe(folder);
  writeSync(write, 'a line\n');
  for (let round = 0; round < 20; round++) {
    for (let id = 1; id <= 100; id++) {
      copying.openStream(id, join(folder, `${id}.log`));
      copying.copier.addSource(id, id, read);
    }
    for (let id = 1; id <= 100; id++) copying.copier.closeStream(id);
    await copying.copier.flush(0);
  }
  closeAll(read, write);
  assert.ok(openFds().size <= before); // fewer: the copiers of the tests before have closed theirs meanwhile

  // A worker's copiers end with it, closed or not.
  const script = `const { parentPort, workerData } = require('node:worker_threads');
    const native = require(workerData.addon);
    const events = { onGrown() { parentPort.postMessage('grown'); }, onSourceEnd() {}, onTrouble() {}, onDropped() {} };
    const copiers = Array.from({ length: 10 }, () => new native.LogCopier(events));
    copiers.forEach((copier, i) => {
      copier.openStream(1, workerData.folder + '/worker.log', { maxBytes: 0, files: 0, timestamps: false, stallMs: 0 });
      if (i % 2 === 0) copier.close();
      else copier.addSource(1, 1, workerData.read);
    });
    setInterval(() => {}, 1_000);`;
  const pipe = makePipe(folder);
  for (let round = 0; round < 5; round++) {
    const worker = new Worker(script, { eval: true, workerData: { addon: binary('covet.node'), folder, read: pipe.read } });
    const grown = once(worker, 'message');
    writeSync(pipe.write, 'a line\n');
    await grown;
    await worker.terminate();
  }
  closeAll(pipe.read, pipe.write);
  assert.ok(openFds().size <= before); // fewer: the copiers of the tests before have closed theirs meanwhile
});

test('a copier alone keeps no process alive, a flush that is awaited does', { timeout }, (t) => {
  const folder = temporaryFolder(t);
  const script = `const native = require(process.argv[1]);
    const copier = new native.LogCopier({ onGrown() {}, onSourceEnd() {}, onTrouble() {}, onDropped() {} });
    copier.openStream(1, process.argv[2], { maxBytes: 0, files: 0, timestamps: false, stallMs: 0 });
    copier.flush(1).then(() => console.log('flushed'));`;
  const output = execFileSync(process.execPath, ['-e', script, binary('covet.node'), join(folder, 'app.log')], {
    encoding: 'utf8',
    timeout,
  });
  assert.equal(output, 'flushed\n');
});
