/** Wanted state on disk: whole or not at all, private, and never lost to a bad file. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import * as v from 'valibot';
import { appConfigSchema } from '../../../supervisor/protocol/config.ts';
import { WantedState, type AppRecord } from '../../../supervisor/state/wanted.ts';
import { repositoryRoot } from '../../promises/root.ts';
import { picked } from '../../promises/tier.ts';

let folder = '';
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'covet-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const record = (name: string, lastGeneration = 1): AppRecord => ({
  config: v.parse(appConfigSchema, { name, script: 'app.js', cwd: '/srv' }),
  env: { A: '1' },
  isWanted: true,
  isDeleting: false,
  lastGeneration,
  live: 0,
  generations: [],
});

test('what was saved is what is loaded, in a file that only its owner reads', async () => {
  const path = join(folder, 'wanted.json');
  const state = new WantedState(path);
  await Promise.all([state.save('a', () => record('a')), state.save('b', () => record('b')), state.save('a', () => record('a', 7))]);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const again = new WantedState(path);
  assert.equal(await again.load(), null);
  assert.deepEqual([...again.records], [...state.records]);
  assert.equal(again.records.get('a')!.lastGeneration, 7);
});

for (const [what, spoil] of [
  ['is empty', () => ''],
  ['ends after a byte', (text) => text.slice(0, 1)],
  ['ends half way', (text) => text.slice(0, text.length / 2)],
  ['lacks its last byte', (text) => text.slice(0, -1)],
  ['is no text', () => '\0'.repeat(100)],
  ['is other JSON', () => '[]'],
  ['is of a newer version', (text) => text.replace('"version":1', '"version":2')],
] as readonly (readonly [string, (text: string) => string])[])
  test(`a file that ${what} is kept aside, and the version before it is used`, async () => {
    const path = join(folder, 'wanted.json');
    const state = new WantedState(path);
    await state.save('a', () => record('a'));
    await state.save('b', () => record('b'));
    const spoilt = spoil(readFileSync(path, 'utf8'));
    writeFileSync(path, spoilt);
    const again = new WantedState(path);
    const problem = await again.load();
    assert.match(problem!, /not readable as state.*kept as.*previous is used/s);
    assert.deepEqual([...again.records.keys()], ['a']);
    assert.equal(readFileSync(`${path}.unreadable`, 'utf8'), spoilt);
  });

/** What a save does to the disk, in its order. */
const STEPS = [
  'open',
  'write',
  'sync',
  'close',
  'copy',
  'rename',
  'open of the folder',
  'sync of the folder',
  'close of the folder',
] as const;
const RENAME = STEPS.indexOf('rename');

async function killedAt(path: string, step: number): Promise<NodeJS.Signals | null> {
  const program = join(repositoryRoot(), 'test/supervisor/state/dies-while-saving.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', program, path, String(step + 1)], { cwd: repositoryRoot(), stdio: 'inherit' });
  const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return signal;
}

for (const step of [...picked(STEPS.slice(0, RENAME + 1)), ...picked(STEPS.slice(RENAME + 1))])
  test(`a kill -9 at the ${step} of a save leaves what was before it, or what was saved`, async () => {
    const path = join(folder, 'wanted.json');
    await new WantedState(path).save('a', () => record('a', 1));
    const at = STEPS.indexOf(step);
    assert.equal(await killedAt(path, at), 'SIGKILL');
    const state = new WantedState(path);
    assert.equal(await state.load(), null);
    assert.equal(state.records.get('a')!.lastGeneration, at <= RENAME ? 1 : 2);
    await state.save('a', () => record('a', 3));
    const again = new WantedState(path);
    assert.equal(await again.load(), null);
    assert.equal(again.records.get('a')!.lastGeneration, 3);
    assert.deepEqual(readdirSync(folder).toSorted(), ['wanted.json', 'wanted.json.previous']);
  });

test('a save does nothing to the disk that is not among these steps', async () => {
  const path = join(folder, 'wanted.json');
  await new WantedState(path).save('a', () => record('a', 1));
  assert.equal(await killedAt(path, STEPS.length), null);
});

test('what was used in place of a garbage file outlives a restart, and the saves after it', async () => {
  const path = join(folder, 'wanted.json');
  const state = new WantedState(path);
  await state.save('a', () => record('a'));
  await state.save('b', () => record('b'));
  writeFileSync(path, 'garbage');
  await new WantedState(path).load();
  const again = new WantedState(path);
  assert.equal(await again.load(), null);
  assert.deepEqual([...again.records.keys()], ['a']);
  await again.save('c', () => record('c'));
  await again.save('d', () => record('d'));
  assert.deepEqual(
    JSON.parse(readFileSync(`${path}.previous`, 'utf8')).apps.map((app: AppRecord) => app.config.name),
    ['a', 'c'],
  );
});

test('a file that is missing is said, and the version before it is used', async () => {
  const path = join(folder, 'wanted.json');
  const state = new WantedState(path);
  await state.save('a', () => record('a'));
  await state.save('b', () => record('b'));
  rmSync(path);
  const again = new WantedState(path);
  assert.match((await again.load())!, /is missing\..*previous is used/);
  assert.deepEqual([...again.records.keys()], ['a']);
  assert.ok(existsSync(path));
});

test('the first file that was ever written is its own version before', async () => {
  const path = join(folder, 'wanted.json');
  await new WantedState(path).save('a', () => record('a'));
  writeFileSync(path, 'garbage');
  const again = new WantedState(path);
  assert.match((await again.load())!, /kept as.*previous is used/s);
  assert.deepEqual([...again.records.keys()], ['a']);
});

test('where neither file is readable nothing is wanted, and both are said', async () => {
  const path = join(folder, 'wanted.json');
  writeFileSync(path, 'garbage');
  writeFileSync(`${path}.previous`, 'more garbage');
  const state = new WantedState(path);
  assert.match((await state.load())!, /kept as.*not readable either/s);
  assert.equal(state.records.size, 0);
});

test('a save that fails changes nothing, says why, and the next one goes through', async () => {
  const path = join(folder, 'gone', 'wanted.json');
  const state = new WantedState(path);
  await assert.rejects(
    state.save('a', () => record('a')),
    { code: 'COVET_ERR_STATE_WRITE' },
  );
  assert.equal(state.records.size, 0);
});
