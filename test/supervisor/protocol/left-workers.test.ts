/** The record of what covet-init held: what it says, and that nobody takes one that cannot be read for none. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { findLeft } from '../../../supervisor/protocol/left-workers.ts';
import { pathsOf, type Paths } from '../../../supervisor/protocol/paths.ts';

const BOOT = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
const FIRST = `record 0 boot=${BOOT}\n`;
const SELF = 'init 0 version=1 ready=1 signal=0\n';

function aHome(t: TestContext): Paths {
  const home = mkdtempSync(join(tmpdir(), 'covet-left-'));
  t.after(() => rmSync(home, { recursive: true }));
  mkdirSync(join(home, 'run'));
  return pathsOf({ COVET_HOME: home }, process.getuid!());
}

function worker(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!;
  return `worker 0 key=w-web-1-0-1 state=running pid=${pid} start=${start}\n`;
}

test('workers that live are found', (t) => {
  const paths = aHome(t);
  writeFileSync(join(paths.run, 'held'), FIRST + SELF + worker(process.pid));
  assert.deepEqual(
    findLeft(paths)?.workers.map(({ pid }) => pid),
    [process.pid],
  );
});

test('there are none without a record, or by that of another boot, or of which only a name outlived a loss of power', (t) => {
  const paths = aHome(t);
  assert.equal(findLeft(paths), null);
  const other = `record 0 boot=another later=1\n`;
  for (const text of [FIRST + SELF, other + SELF + worker(process.pid), `${other}what a later release may write`, '', '\0'.repeat(4_096)]) {
    writeFileSync(join(paths.run, 'held'), text);
    assert.equal(findLeft(paths), null, JSON.stringify(text));
  }
});

test('a record that cannot be read is not taken for none', (t) => {
  const paths = aHome(t);
  const path = join(paths.run, 'held');
  const whole = FIRST + SELF + worker(process.pid);
  const said: readonly (readonly [text: string, reason: RegExp])[] = [
    ['rubbish', /Expected "verb id key=value…", got "rubbish"/],
    [SELF, /expected it to begin with "record"/],
    [whole.slice(0, whole.indexOf(' pid=') + 4), /Expected key=value, got "pid"/],
    [FIRST, /expected version 1 to 1, got none/],
    [whole.replace('version=1', 'version=2'), /expected version 1 to 1, got 2; the covet-pm that wrote it reads it/],
  ];
  for (const [text, reason] of said) {
    writeFileSync(path, text);
    assert.throws(() => findLeft(paths), { code: 'COVET_ERR_LEFT_UNREADABLE', message: reason }, text);
  }
  rmSync(path);
  mkdirSync(path);
  assert.throws(() => findLeft(paths), { code: 'COVET_ERR_LEFT_UNREADABLE', message: /EISDIR.*Nothing is started beside them/ });
});
