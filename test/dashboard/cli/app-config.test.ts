import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { appConfig, type AppOptions } from '../../../dashboard/cli/app-config.ts';
import { CovetError, type ErrorCode } from '../../../supervisor/protocol/errors.ts';

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'covet-config-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  writeFileSync(join(path, 'app.js'), '');
  mkdirSync(join(path, 'sub'));
  return path;
}

const options = (over: Partial<AppOptions> = {}): AppOptions => ({
  usage: 'covet-pm run <script>',
  script: 'app.js',
  args: [],
  fields: {},
  ...over,
});

function fault(cwd: string, over: Partial<AppOptions>): { code: ErrorCode; message: string } {
  try {
    appConfig(options(over), cwd);
  } catch (error) {
    if (error instanceof CovetError) return { code: error.code, message: error.message };
    throw error;
  }
  return assert.fail('nothing was wrong');
}

test('a script alone is enough: name, folder and defaults are filled in', (t) => {
  const cwd = folder(t);
  const config = appConfig(options(), cwd);
  assert.equal(config.name, 'app');
  assert.equal(config.script, join(cwd, 'app.js'));
  assert.equal(config.cwd, cwd);
  assert.equal(config.killTimeoutMs, 5_000);
  assert.equal(config.instances, undefined);
});

test('a name the schema would refuse is made of one that it takes', (t) => {
  const cwd = folder(t);
  for (const [file, name] of [
    ['my app!.js', 'my-app-'],
    ['_x.js', 'x'],
    ['.hidden', 'hidden'],
    ['ü.js', 'app'],
  ] as const) {
    writeFileSync(join(cwd, file), '');
    assert.equal(appConfig(options({ script: file }), cwd).name, name);
  }
});

test('flags win over the file, variables add to it, --set wins over both', (t) => {
  const cwd = folder(t);
  writeFileSync(
    join(cwd, 'c.json'),
    JSON.stringify({ name: 'file', instances: 2, env: { A: 'file', B: 'file' }, restart: { max: 9, delayMs: 1 }, args: ['x'] }),
  );
  const config = appConfig(
    options({
      configFile: 'c.json',
      fields: { name: 'flag', env: { A: 'flag' }, 'restart.max': 3 },
      settings: { 'restart.delayMs': 7, queueMs: 5 },
    }),
    cwd,
  );
  assert.equal(config.name, 'flag');
  assert.equal(config.instances, 2);
  assert.deepEqual(config.env, { A: 'flag', B: 'file' });
  assert.equal(config.restart.max, 3);
  assert.equal(config.restart.delayMs, 7);
  assert.equal(config.queueMs, 5);
  assert.deepEqual(config.args, ['x']);
});

test('the script is looked for in --cwd, and a symlink stays one', (t) => {
  const cwd = folder(t);
  writeFileSync(join(cwd, 'sub', 'other.mjs'), '');
  symlinkSync(join(cwd, 'app.js'), join(cwd, 'current.js'));
  assert.equal(appConfig(options({ script: 'other.mjs', fields: { cwd: 'sub' } }), cwd).script, join(cwd, 'sub', 'other.mjs'));
  assert.equal(appConfig(options({ script: 'current.js' }), cwd).script, join(cwd, 'current.js'));
});

test('a program of PATH is left to PATH', (t) => {
  const cwd = folder(t);
  assert.equal(appConfig(options({ script: 'uvicorn', fields: { interpreter: 'none' } }), cwd).script, 'uvicorn');
  assert.equal(appConfig(options({ script: 'npm', args: ['start'] }), cwd).script, 'npm');
  writeFileSync(join(cwd, 'npm'), '');
  assert.equal(appConfig(options({ script: 'npm', fields: { interpreter: 'node' } }), cwd).script, join(cwd, 'npm'));
});

test('what is wrong is a sentence with field, expected and got', (t) => {
  const cwd = folder(t);
  const instances = (got: string) => ({
    code: 'COVET_ERR_CONFIG_FIELD',
    message: `Expected \`instances\` to be an integer from 1 to 1024, got ${got}.`,
  });
  assert.deepEqual(fault(cwd, { fields: { instances: 0 } }), instances('`0` (number)'));
  assert.deepEqual(fault(cwd, { fields: { instances: 9_999 } }), instances('`9999` (number)'));
  assert.match(fault(cwd, { fields: { instances: 'many' } }).message, /Expected `instances` to be .*"max".*, got `"many"` \(string\)/);
  assert.match(fault(cwd, { fields: { name: '-x' } }).message, /^Expected `name` to be letters, digits/);
  assert.match(fault(cwd, { fields: { env: { '1A': 'x' } } }).message, /^Expected `env.1A` to be a variable name/);
  assert.deepEqual(fault(cwd, { settings: { instnces: 2 } }), {
    code: 'COVET_ERR_CONFIG_UNKNOWN',
    message: 'Unknown field `instnces`. Did you mean `instances`? docs/config.md lists them.',
  });
  assert.deepEqual(fault(cwd, { script: undefined }), {
    code: 'COVET_ERR_USAGE_MISSING',
    message: 'Expected a script. Usage: covet-pm run <script>',
  });
});

test('out of a linked folder `..` leads to the parent of where it points', (t) => {
  const cwd = folder(t);
  const link = join(folder(t), 'current');
  symlinkSync(join(cwd, 'sub'), link);
  assert.equal(appConfig(options({ script: '../app.js' }), link).script, join(realpathSync(cwd), 'app.js'));
  writeFileSync(join(cwd, 'sub', 'here.js'), '');
  const { script, cwd: stored } = appConfig(options({ script: 'here.js' }), link);
  assert.deepEqual([script, stored], [join(link, 'here.js'), link]);
});

test('a script that cannot be run is named, with why and what to do', (t) => {
  const cwd = folder(t);
  assert.deepEqual(fault(cwd, { script: 'nope.js' }), {
    code: 'COVET_ERR_APP_SCRIPT',
    message: `Cannot run ${cwd}/nope.js: there is no such file. Name the file that is to run, or an app of \`covet-pm list\`.`,
  });
  assert.match(fault(cwd, { script: 'sub' }).message, /sub: it is a directory\. Name the file /);
  assert.match(fault(cwd, { script: '/dev/null' }).message, /it is not a file\. Name the file /);
  assert.match(fault(cwd, { script: 'app.js/x' }).message, /there is no such file/);
  assert.match(fault(cwd, { script: './app.js', fields: { interpreter: 'none' } }).message, /it is not executable/);
});

test('a config file that is none, and a folder that is none', (t) => {
  const cwd = folder(t);
  assert.match(fault(cwd, { configFile: 'nope.json' }).message, /^Expected `--config` to be a JSON file, got .*nope\.json/);
  assert.match(fault(cwd, { configFile: 'app.js' }).message, /a JSON file/);
  writeFileSync(join(cwd, 'list.json'), '[]');
  assert.match(fault(cwd, { configFile: 'list.json' }).message, /a JSON object/);
  assert.match(fault(cwd, { fields: { cwd: 'nowhere' } }).message, /^Expected `cwd` to be a folder you may enter/);
});
