/** What a hardened unit's user would reach, by files that every Linux has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unreachable } from '../../../dashboard/systemd/reach.ts';

test('a file that everybody reads is no interpreter unless everybody may run it', () => {
  assert.equal(unreachable('/etc/passwd', 'read'), null);
  assert.equal(unreachable('/bin/sh', 'run'), null);
  assert.match(unreachable('/etc/passwd', 'run')!, /^is closed to other users \(mode 0644\)$/);
});

test('what is written, closed, hidden or absent is told', () => {
  assert.equal(unreachable('/etc', 'read'), null);
  assert.match(unreachable('/etc', 'write')!, /closed to other users \(mode 0755\)/);
  assert.match(unreachable('/tmp', 'write')!, /lies in \/tmp, of which the service sees one of its own/);
  assert.match(unreachable('/etc/no such file', 'read')!, /ENOENT/);
});
