/** From a config to what is executed: interpreters, TypeScript, npm scripts, symlinks, and what cannot run. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as v from 'valibot';
import { resolveLaunch, type Launch } from '../../../supervisor/apps/launch.ts';
import { appConfigSchema } from '../../../supervisor/protocol/config.ts';

let folder = '';
before(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'covet-')));
  for (const name of ['app.js', 'app.py', 'app.ts']) writeFileSync(join(folder, name), '');
});
after(() => rmSync(folder, { recursive: true, force: true }));

const launch = (input: Record<string, unknown>): Promise<Launch> =>
  resolveLaunch(v.parse(appConfigSchema, { name: 'a', cwd: folder, ...input }), process.execPath);

test('a script gets its interpreter, and its own arguments last', async () => {
  const node = await launch({ script: 'app.js', args: ['x'], nodeArgs: ['--no-warnings'] });
  assert.deepEqual([node.file, node.args, node.isNode], [process.execPath, ['--no-warnings', join(folder, 'app.js'), 'x'], true]);
  const python = await launch({ script: join(folder, 'app.py') });
  assert.deepEqual([python.file, python.isNode], ['python3', false]);
  assert.equal((await launch({ script: 'app.js', interpreter: 'none' })).file, join(folder, 'app.js'));
});

test('a release symlink is resolved once, so a generation does not change half-way', async () => {
  mkdirSync(join(folder, 'releases', '1'), { recursive: true });
  writeFileSync(join(folder, 'releases', '1', 'app.js'), '');
  symlinkSync('releases/1', join(folder, 'current'));
  const { cwd, scriptPath } = await launch({ cwd: join(folder, 'current'), script: 'app.js' });
  assert.deepEqual([cwd, scriptPath], [join(folder, 'releases', '1'), join(folder, 'releases', '1', 'app.js')]);
});

test('npm start is run as the plain node command it is, and only then', async () => {
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({
      scripts: {
        start: 'node --no-warnings app.js a b',
        dev: 'NODE_ENV=x node app.js',
        odd: 'node "a b.js"',
        hooked: 'node -r ./pre.js --import ./hook.mjs app.js a',
      },
    }),
  );
  const start = await launch({ script: 'npm', args: ['start'] });
  assert.deepEqual([start.file, start.args, start.isNode], [process.execPath, ['--no-warnings', join(folder, 'app.js'), 'a', 'b'], true]);
  assert.equal((await launch({ script: 'npm', args: ['run', 'dev'] })).file, 'npm');
  assert.equal((await launch({ script: 'npm', args: ['run', 'odd'] })).file, 'npm');
  const hooked = await launch({ script: 'npm', args: ['run', 'hooked'] });
  assert.deepEqual(hooked.args, ['-r', './pre.js', '--import', './hook.mjs', join(folder, 'app.js'), 'a']);
  const handedOn = await launch({ script: 'npm', args: ['start', '--', '--port', '3'] });
  assert.deepEqual([handedOn.file, handedOn.args], ['npm', ['start', '--', '--port', '3']]);
});

test('TypeScript runs by Node’s own stripping, else by the app’s tsx, else not, and the error names both', async () => {
  const strips = Boolean((process.features as { typescript?: unknown }).typescript);
  if (strips) {
    assert.deepEqual((await launch({ script: 'app.ts' })).args, [join(folder, 'app.ts')]);
    return;
  }
  await assert.rejects(launch({ script: 'app.ts' }), { code: 'COVET_ERR_APP_TYPESCRIPT', message: /22\.18.*tsx/ });
  mkdirSync(join(folder, 'node_modules', 'tsx'), { recursive: true });
  writeFileSync(join(folder, 'node_modules', 'tsx', 'index.js'), '');
  const { args } = await launch({ script: 'app.ts' });
  assert.match(args[1]!, /node_modules\/tsx\/index\.js$/);
});

test('what cannot run is said with its path', async () => {
  await assert.rejects(launch({ script: 'absent.js' }), { code: 'COVET_ERR_APP_SCRIPT', message: /absent\.js: it does not exist/ });
  await assert.rejects(launch({ script: '.', interpreter: 'node' }), { code: 'COVET_ERR_APP_SCRIPT', message: /not a file/ });
});
