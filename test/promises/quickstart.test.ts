/** What scripts/quickstart shows a newcomer, once it has installed and built: it fails where it is not so, and what it prints last works. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Home, resultOf, type CommandResult } from './home.ts';
import { freePort } from './ports.ts';
import { repositoryRoot } from './root.ts';
import { said } from './served.ts';
import { ALL, further } from './tier.ts';

async function quickstart(home: Home, env: Readonly<Record<string, string>> = {}): Promise<CommandResult> {
  const script = join(repositoryRoot(), 'scripts', 'quickstart.mjs');
  const port = String(await freePort());
  const child = spawn(process.execPath, [script], { cwd: repositoryRoot(), env: { ...home.env, PORT: port, ...env } });
  return resultOf(child, 'scripts/quickstart.mjs', 120_000);
}

describe('the quickstart', () => {
  test('every request is answered over its reload, and its last lines are commands that work', further, async (t) => {
    const home = Home.open(t);
    const result = await quickstart(home);
    assert.equal(result.code, 0, said(result));
    assert.match(result.stdout, /[1-9]\d* requests answered, 0 lost/);
    const commands = [...result.stdout.matchAll(/^\S*covet-pm\.cjs ([a-z ]+\d*) *(-f)? +#/gm)].map(([, words = '']) => words.trim());
    assert.deepEqual(commands, ['logs hello', 'describe hello', 'reload hello', 'scale hello 8', 'kill']);
    for (const words of commands) {
      const done = await home.covet(...words.split(' '));
      assert.equal(done.code, 0, said(done));
    }
  });

  const skip = ALL ? false : 'shown by --all: what it counts is what reload-under-load counts';
  test('with reloads that only kill it fails, and says how much was lost', { skip }, async (t) => {
    const home = Home.open(t);
    const result = await quickstart(home, { COVET_TEST_FAULT: 'no-flip,no-drain,no-hand-over' });
    assert.equal(result.code, 1, said(result));
    assert.match(result.stderr, /Expected no request to be lost, got [1-9]/);
    await home.covet('kill');
  });
});
