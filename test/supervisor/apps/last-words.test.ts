/** What a failing app said, in one line: the line that names the error, not the stack or the object after it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lastWords } from '../../../supervisor/apps/verbs.ts';

test('an uncaught error of Node is its own line', () => {
  const lines = [
    'node:events:495',
    '      throw er; // Unhandled',
    '      ^',
    '',
    'Error: listen EADDRINUSE: address already in use :::80',
    '    at Server.x (node:net:1)',
    "Emitted 'error' event on Server instance at:",
    '    at emit (node:net:2) {',
    "  code: 'EADDRINUSE',",
    '  port: 80',
    '}',
    '',
    'Node.js v20.20.2',
  ];
  assert.equal(lastWords(lines), 'Error: listen EADDRINUSE: address already in use :::80');
});

test('a Python traceback is its last line, a plain message itself, silence nothing', () => {
  assert.equal(lastWords(['Traceback (most recent call last):', '  File "a.py", line 1', 'ValueError: no']), 'ValueError: no');
  assert.equal(lastWords(['starting', 'cannot reach the database', '']), 'cannot reach the database');
  assert.equal(lastWords(['', '}']), null);
});

test('Node’s hint about what is no error is passed over', () => {
  const hint = '(Use `node --trace-uncaught ...` to show where the exception was thrown)';
  assert.equal(lastWords(['/app.js:1', 'throw null', '^', 'null', hint, '', 'Node.js v20.20.2']), 'null');
});
