/**
 * What a release wrote, the releases after it read: the state on disk, the notes in covet-init, the state that one covet-init hands to another, and
 * what is said on the wires. The files here are never changed, only added to; each carries the version of its format in its name.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, copyFileSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { binary } from '../../native/index.ts';
import { parseInput, parseOtherInput } from '../../supervisor/operations/input.ts';
import { decodeInitPacket, encodeInitPacket } from '../../supervisor/protocol/init-wire.ts';
import { findLeft, namesOf } from '../../supervisor/protocol/left-workers.ts';
import { pathsOf } from '../../supervisor/protocol/paths.ts';
import { processStat } from '../../supervisor/protocol/proc-files.ts';
import { decodeWorkerMessage } from '../../supervisor/slots/worker-messages.ts';
import { readAppMemo, readSlotMemo, readStepMemo } from '../../supervisor/state/memos.ts';
import { WantedState, type AppRecord } from '../../supervisor/state/wanted.ts';
import { repositoryRoot } from '../promises/root.ts';

const golden = (name: string): string => join(repositoryRoot(), 'test/golden', name);
const linesOf = (name: string): string[] => readFileSync(golden(name), 'utf8').trimEnd().split('\n');

test('wanted.json, version 1', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'covet-golden-'));
  t.after(() => rmSync(folder, { recursive: true }));
  copyFileSync(golden('wanted-1.json'), join(folder, 'wanted.json'));
  const state = new WantedState(join(folder, 'wanted.json'));
  assert.equal(await state.load(), null, 'nothing to complain of');
  const [web, stopped] = [state.records.get('web'), state.records.get('stopped')];
  assert.deepEqual([web?.lastGeneration, web?.live, web?.generations[0]?.half, web?.generations[0]?.launch.scriptPath], [7, 6, 1, '/srv/web/r6/server.js']);
  assert.equal(web?.config.uid, 1_000);
  // Written before there were either.
  assert.deepEqual([stopped?.isWanted, stopped?.isDeleting, stopped?.generations], [false, false, []]);
});

test('wanted.json of a later release, with fields and options that it has more, is read and keeps them', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'covet-golden-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'wanted.json');
  const { version, apps } = JSON.parse(readFileSync(golden('wanted-1.json'), 'utf8')) as { version: 1; apps: [AppRecord] };
  const [{ config, generations }] = apps;
  const later = { ...apps[0], later: 1, config: { ...config, later: 2, restart: { later: 3 } }, generations: [{ ...generations[0], later: 4 }] };
  writeFileSync(path, JSON.stringify({ version, later: 0, apps: [later] }));
  const state = new WantedState(path);
  assert.equal(await state.load(), null);
  await state.save('web', (record) => ({ ...record!, isWanted: false }));
  const kept = JSON.parse(readFileSync(path, 'utf8')) as { apps: [typeof later] };
  assert.deepEqual([kept.apps[0].later, kept.apps[0].config.later, kept.apps[0].generations[0]?.later], [1, 2, 4]);
});

test('of a request of another version the unknown is ignored and told, save in an app’s config', () => {
  const known = parseOtherInput('logs', { app: 'web', later: 1, after: [{ app: 'web', stream: 'out', mark: { ino: 1, size: 2, later: 3 } }] });
  assert.deepEqual([known.output.app, [...known.ignored].sort()], ['web', ['after.0.mark.later', 'later']]);
  assert.throws(() => parseOtherInput('start', { config: { name: 'web', script: 'a.js', cwd: '/', later: 1 }, env: {} }), { code: 'COVET_ERR_CONFIG_UNKNOWN' });
  assert.throws(() => parseOtherInput('logs', { app: 7, later: 1 }), { code: 'COVET_ERR_CONFIG_FIELD' });
  assert.throws(() => parseInput('logs', { later: 1 }), { code: 'COVET_ERR_CONFIG_UNKNOWN' });
});

test('memos, version 1', () => {
  const memos = JSON.parse(readFileSync(golden('memos-1.json'), 'utf8')) as Record<string, unknown>;
  assert.equal(readSlotMemo(memos['slot:web:6:0'])?.history.attempt, 1);
  assert.equal(readAppMemo(memos['app:web'])?.isUp, true);
  assert.deepEqual(readStepMemo(memos['step:web']), { app: 'web', verb: 'reload' });
});

test('a field more is ignored, and what is not understood is as good as none', () => {
  const memos = JSON.parse(readFileSync(golden('memos-1.json'), 'utf8')) as Record<string, Record<string, unknown>>;
  assert.notEqual(readSlotMemo({ ...memos['slot:web:6:0'], later: true }), null);
  assert.equal(readSlotMemo({ ...memos['slot:web:6:0'], state: 'levitating' }), null);
  const { listening: _, ...less } = memos['slot:web:6:0']!;
  assert.equal(readSlotMemo(less), null);
});

test('a covet-init’s state, version 1, is read by covet-init, with unknown lines and fields too', () => {
  const state = readFileSync(golden('init-state-1.txt'), 'utf8');
  assert.equal(checked(state), 0);
  // With what a later release may add.
  assert.equal(checked(`${state}later 0 what=ever\nnote 0 key=k text=t later=1\n`), 0);
  assert.equal(checked(`${state}group 0 key=x family=none\n`), 1, 'the check can fail');
});

test('of sockets and workers too', () => {
  const state = readFileSync(golden('init-state-held-1.txt'), 'utf8');
  assert.equal(checked(state), 0);
  assert.equal(checked(state.replaceAll(' fds=', ' later=1 fds=')), 0);
  for (const field of ['key', 'state', 'ours', 'pid', 'start', 'status', 'errno', 'pidfd', 'report'])
    assert.equal(checked(state.replace(new RegExp(`^(worker .*) ${field}=\\S+`, 'm'), '$1')), 1, `a worker without ${field}`);
});

test('the record of what covet-init held, version 1, is read by whoever takes the workers back', (t) => {
  const home = mkdtempSync(join(tmpdir(), 'covet-golden-'));
  t.after(() => rmSync(home, { recursive: true }));
  const paths = pathsOf({ COVET_HOME: home }, process.getuid!());
  mkdirSync(paths.run, { recursive: true });
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  // This process stands for the worker, in this boot.
  const start = processStat(process.pid)!.start;
  const text = readFileSync(golden('held-1.txt'), 'utf8')
    .replace(/(?<= boot=)\S+/, boot)
    .replace(/(?<=^worker .* pid=)\d+ start=\d+/m, `${process.pid} start=${start}`);
  writeFileSync(join(paths.run, 'held'), text);
  const left = findLeft(paths)!;
  assert.deepEqual(
    left.packets.map(({ verb }) => verb),
    ['init', 'note', 'note', 'group', 'member', 'member', 'member', 'worker'],
  );
  assert.deepEqual(namesOf(left.workers[0]!.packet), [
    'socket:[57049231]',
    'socket:[57049233]',
    'pipe:[57049235]',
    'pipe:[57049236]',
    'anon_inode:[pidfd]',
  ]);
});

/** What covet-init says to a state; descriptors 4 to 11 are pairs of sockets. */
function checked(state: string): number | null {
  const folder = mkdtempSync(join(tmpdir(), 'covet-golden-'));
  const path = join(folder, 'state');
  writeFileSync(path, state);
  const fd = openSync(path, 'r+');
  try {
    const ends = Array.from({ length: 8 }, () => 'pipe' as const);
    return spawnSync(binary('covet-init'), ['--check-state', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd, ...ends] }).status;
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
}

test('packets of covet-init’s wire, version 1', () => {
  for (const line of linesOf('init-packets-1.txt')) assert.equal(encodeInitPacket(decodeInitPacket(line)), line);
});

test('messages of a worker, version 1', () => {
  for (const line of linesOf('worker-messages-1.jsonl')) assert.equal(typeof decodeWorkerMessage(line)?.t, 'string');
  assert.equal(decodeWorkerMessage('{"t":"later","what":"ever"}'), null, 'a worker of a later release is not cut off');
  for (const line of ['{"t":"hello"}', '{"t":7}', 'null', '[]', '{']) assert.throws(() => decodeWorkerMessage(line), line);
});
