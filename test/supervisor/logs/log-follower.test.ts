/** What is added to a file is told once, whole and in order, whatever rotation does meanwhile. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, renameSync, rmSync, statSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { LogFollower } from '../../../supervisor/logs/log-follower.ts';
import { eventually } from '../../promises/eventually.ts';

/** A file with a line that nobody is to be told, and who follows it from there. */
function followed(t: TestContext): { path: string; follower: LogFollower; told: string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'covet-follow-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'app-out.log');
  writeFileSync(path, 'before\n');
  const { ino, size } = statSync(path);
  const told: string[] = [];
  const follower = new LogFollower(path, { ino, size }, (line) => told.push(line));
  t.after(() => follower.stop());
  return { path, follower, told };
}

test('two rotations between two looks lose no line', async (t) => {
  const { path, follower, told } = followed(t);
  appendFileSync(path, 'one\n');
  renameSync(path, `${path}.1`);
  writeFileSync(path, 'two\n');
  renameSync(`${path}.1`, `${path}.2`);
  renameSync(path, `${path}.1`);
  writeFileSync(path, 'three\n');
  follower.grown();
  await eventually('the last line', () => told.includes('three'));
  assert.deepEqual(told, ['one', 'two', 'three']);
});

test('a file that was rotated out of reach is said', async (t) => {
  const { path, follower, told } = followed(t);
  appendFileSync(path, 'lost\n');
  renameSync(path, `${path}.gone`);
  writeFileSync(path, 'kept\n');
  unlinkSync(`${path}.gone`);
  follower.grown();
  await eventually('the last line', () => told.includes('kept'));
  assert.match(told[0] ?? '', /lines may be missing here$/);
});

test('a file that was emptied in its place is told from its start', async (t) => {
  const { path, follower, told } = followed(t);
  truncateSync(path, 0);
  appendFileSync(path, 'new\n');
  follower.grown();
  await eventually('the line', () => told.length > 0);
  assert.deepEqual(told, ['new']);
});

test('a character that lies on the border of two reads stays whole', async (t) => {
  const { path, follower, told } = followed(t);
  const line = '€'.repeat(200_000); // three bytes each
  appendFileSync(path, `${line}\n`);
  follower.grown();
  await eventually('the line', () => told.length > 0);
  assert.ok(told[0] === line, 'the line is another');
});

test('a line without an end is told in parts', async (t) => {
  const { path, follower, told } = followed(t);
  const text = 'x'.repeat(5_000_000);
  appendFileSync(path, text);
  follower.grown();
  await eventually('the first parts', () => told.join('').length > 3_000_000);
  assert.ok(Math.max(...told.map((line) => line.length)) < 1_500_000);
  appendFileSync(path, '\nnext\n');
  follower.grown();
  await eventually('the next line', () => told.at(-1) === 'next');
  assert.ok(told.slice(0, -1).join('') === text, 'the parts are not the line');
});
