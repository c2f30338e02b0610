/** The last lines of a log are there right after a rotation too: they are read on into path.1, path.2 …, with bounded memory. */
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, statSync, truncateSync, writeFileSync, appendFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { tail } from '../../../supervisor/logs/log-tail.ts';
import type { LogMark } from '../../../supervisor/protocol/operations.ts';

/** A log of these files, the newest first. */
function logOf(t: TestContext, ...texts: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'covet-tail-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'app-out.log');
  for (const [place, text] of texts.entries()) writeFileSync(place === 0 ? path : `${path}.${place}`, text);
  return path;
}

function markOf(path: string): LogMark {
  const { ino, size } = statSync(path);
  return { ino, size };
}

test('the last lines go on into the files that the log was rotated to, as far as they are wanted', (t) => {
  const path = logOf(t, 'six\n', 'four\nfive\n', '', 'one\ntwo\nthree\n');
  const all = ['one', 'two', 'three', 'four', 'five', 'six'];
  for (let count = 0; count <= 7; count++) {
    const { lines, mark } = tail(path, count);
    assert.deepEqual(lines, count === 0 ? [] : all.slice(-count), `the last ${count}`);
    assert.deepEqual(mark, markOf(path), 'the mark is where the newest file ends');
  }
  writeFileSync(path, '');
  assert.deepEqual(tail(path, 2).lines, ['four', 'five'], 'right after a rotation');
});

test('an open line is a line, and one that goes on in the next file is one', (t) => {
  assert.deepEqual(tail(logOf(t, 'three\nfo', 'one\ntwo\n'), 3).lines, ['two', 'three', 'fo']);
  assert.deepEqual(tail(logOf(t, 'wo\nthree\n', 'one\nt'), 2).lines, ['two', 'three']);
  assert.deepEqual(tail(logOf(t), 2), { lines: [], mark: { ino: 0, size: 0 } });
});

test('a file that is missing between two, as while a rotation moves them, ends nothing', (t) => {
  const path = logOf(t, 'three\n', 'two\n', 'one\n');
  renameSync(`${path}.2`, `${path}.3`);
  assert.deepEqual(tail(path, 3).lines, ['one', 'two', 'three']);
});

test('of the lines after a mark none before it is told, whichever file it is in by now', (t) => {
  const path = logOf(t, 'old\n');
  const since = markOf(path);
  appendFileSync(path, 'new\n');
  assert.deepEqual(tail(path, 5, since).lines, ['new']);
  renameSync(path, `${path}.1`);
  writeFileSync(path, 'newer\n');
  assert.deepEqual(tail(path, 5, since).lines, ['new', 'newer']);
  assert.deepEqual(tail(path, 1, since).lines, ['newer']);
  truncateSync(`${path}.1`);
  appendFileSync(`${path}.1`, 'x\n');
  assert.deepEqual(tail(path, 5, since).lines, ['x', 'newer'], 'emptied in its place, all of it is new');
});

test('a tail of all that may be asked for reads no more than its bound, over many files', (t) => {
  const line = `${'é'.repeat(500)}\n`;
  const path = logOf(t, ...Array.from({ length: 30 }, () => line.repeat(1_000)));
  const { lines } = tail(path, 100_000);
  const bytes = lines.reduce((sum, { length }) => sum + 2 * length + 1, 0);
  assert.ok(bytes > 16_000_000 && bytes < 17_000_000, `${bytes} bytes`);
  assert.ok(lines.slice(1).every((text) => text === line.slice(0, -1)));
});
