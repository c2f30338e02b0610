import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { prepareHome } from '../../dashboard/home.ts';
import { CovetError } from '../../supervisor/protocol/errors.ts';
import { pathsOf } from '../../supervisor/protocol/paths.ts';

function temporary(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'covet-home-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const at = (home: string) => pathsOf({ COVET_HOME: home }, process.getuid!());

function refusal(home: string): string {
  try {
    prepareHome(at(home));
  } catch (error) {
    if (error instanceof CovetError) return error.message;
    throw error;
  }
  return assert.fail('it was taken');
}

test('the home is made with folders that only its owner enters, root’s own aside', (t) => {
  const home = join(temporary(t), 'a', 'b');
  prepareHome(at(home));
  assert.equal(statSync(home).mode & 0o777, process.getuid!() === 0 ? 0o711 : 0o700);
  for (const folder of ['run', 'state', 'logs']) assert.equal(statSync(join(home, folder)).mode & 0o777, 0o700);
  prepareHome(at(home));
});

test('a home that is a file, that others may write, or whose socket path is too long is refused', (t) => {
  const base = temporary(t);
  writeFileSync(join(base, 'file'), '');
  assert.match(refusal(join(base, 'file')), /^Cannot use .*file as COVET_HOME/);
  assert.match(refusal(join(base, 'file', 'below')), /^Cannot use/);
  chmodSync(base, 0o777);
  assert.match(refusal(base), /others may write .* \(mode 777; `chmod go-w .*`\)/);
  assert.match(refusal(join(base, 'x'.repeat(100))), /a Unix socket takes 107/);
});
