import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearMatch } from '../../../supervisor/protocol/errors.ts';

const COMMANDS = ['start', 'run', 'list', 'ls', 'l', 'ps', 'logs', 'reload', 'restart', 'scale', 'stop', 'kill', 'ping', 'status'];

const meant = (got: string, known: readonly string[] = COMMANDS): string | undefined => /`(.+)`/.exec(nearMatch(got, known))?.[1];

test('a slip of a finger finds what was meant', () => {
  for (const [got, word] of [
    ['rn', 'run'],
    ['lst', 'list'],
    ['stpo', 'stop'],
    ['log', 'logs'],
    ['relaod', 'reload'],
    ['restrat', 'restart'],
    ['statuss', 'status'],
  ] as const)
    assert.equal(meant(got), word, got);
  assert.equal(meant('wbe', ['web', 'api']), 'web');
  assert.equal(meant('--instancs', ['--instances', '--listen']), '--instances');
});

test('a short word that is another one finds nothing', () => {
  for (const got of ['up', 'rm', 'lp', 'x', 'foo', 'top', 'all', 'tail', 'sync', 'save'])
    assert.equal(meant(got), got === 'top' ? 'stop' : undefined, got);
  assert.equal(meant('-x', ['-q', '-i', '-n']), undefined);
  assert.equal(meant('--of', ['--err', '--cwd', '--pin']), undefined);
});
