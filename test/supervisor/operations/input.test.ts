/** What a program gives an operation, held against its schema: every complaint is a sentence of ours, none is valibot's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseInput } from '../../../supervisor/operations/input.ts';
import type { OperationName } from '../../../supervisor/protocol/operations.ts';

const fault = (name: OperationName, input: unknown): string => {
  try {
    parseInput(name, input);
  } catch (error) {
    return (error as Error).message;
  }
  return assert.fail('it was taken');
};

test('a wrong value is told with field, expected and got', () => {
  assert.equal(fault('scale', { app: 'web', instances: 5_000 }), 'Expected `instances` to be an integer from 1 to 1024, got 5000.');
  assert.equal(fault('scale', { app: 'web', instances: '2' }), 'Expected `instances` to be an integer from 1 to 1024 or "max", got "2".');
  assert.equal(fault('stop', {}), 'Expected `app` to be given, got undefined.');
  assert.equal(fault('stop', { app: 3 }), 'Expected `app` to be the name of an app, got 3.');
  assert.equal(fault('describe', { app: 'web', showEnv: 'yes' }), 'Expected `showEnv` to be true or false, got "yes".');
  assert.equal(fault('reload', { app: 'web', env: { A: 1 } }), 'Expected `env.A` to be a string, got 1.');
  assert.equal(fault('reload', { app: 'web', env: 'A=1' }), 'Expected `env` to be an object of strings, got "A=1".');
  assert.equal(fault('logs', { lines: -1 }), 'Expected `lines` to be an integer from 0 to 100000, got -1.');
  assert.equal(fault('logs', { streams: 'all' }), 'Expected `streams` to be one of both, out, err, got "all".');
  assert.equal(fault('events', { last: 1.5 }), 'Expected `last` to be an integer from 0 to 10000, got 1.5.');
  assert.equal(fault('stop', 'web'), 'Expected `params` to be an object, got "web".');
  const config = { name: 'web', script: 'app.js', cwd: '/' };
  const inConfig = (field: object): string => fault('start', { config: { ...config, ...field }, env: {} });
  assert.equal(inConfig({ nodeArgs: '-r x' }), 'Expected `config.nodeArgs` to be a list of strings, got "-r x".');
  assert.equal(inConfig({ listen: 80 }), 'Expected `config.listen` to be a list of addresses, got 80.');
  assert.equal(inConfig({ env: 3 }), 'Expected `config.env` to be an object of strings, got 3.');
  assert.equal(inConfig({ probe: '/' }), 'Expected `config.probe` to be an object, got "/".');
  assert.equal(inConfig({ script: undefined }), 'Expected `config.script` to be a string, got undefined.');
  assert.equal(fault('list', { apps: 1 }), 'Unknown field `apps`. docs/config.md lists them.');
});
