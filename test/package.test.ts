/**
 * The packed tarball as a stranger meets it: installed without scripts, it runs an app; its types check in a strict project; no build file
 * lies at its root; and on a machine it has no binaries for, the first command says so and how to build them.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { packageRoot } from '../native/index.ts';

const root = packageRoot();
let folder = '';
let installed = '';
let files: string[] = [];

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'covet-pack-'));
  mkdirSync(join(folder, 'home'), { mode: 0o700 });
  // Scripts are left out: prepack builds anew, under the feet of the tests that run beside this one.
  const [packed] = JSON.parse(
    execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], { cwd: root, encoding: 'utf8' }),
  ) as Packed[];
  files = packed!.files.map((file) => file.path);
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  execFileSync('npm', ['install', '--ignore-scripts', '--prefer-offline', `./${packed!.filename}`], { cwd: folder, stdio: 'ignore' });
  installed = join(folder, 'node_modules', 'covet-pm');
});

after(() => {
  covet('kill');
  rmSync(folder, { recursive: true, force: true });
});

function covet(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(join(folder, 'node_modules', '.bin', 'covet-pm'), args, {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: folder, COVET_HOME: join(folder, 'home') },
  });
  return { code: status, stdout, stderr };
}

test('the tarball holds binaries and no build file at its root', () => {
  assert.ok(!files.includes('binding.gyp'));
  for (const name of ['covet.node', 'covet-init', 'covet-exec']) assert.ok(files.includes(`prebuilds/linux-x64/${name}`), name);
  assert.deepEqual(
    files.filter((path) => /\.test\.|^test\/|^bench\/|tsconfig/.test(path)),
    [],
  );
});

test('publint finds nothing to say of it', () => {
  const { status, stdout, stderr } = spawnSync(
    join(root, 'node_modules', '.bin', 'publint'),
    ['run', installed, '--strict', '--pack', 'false'],
    {
      encoding: 'utf8',
    },
  );
  assert.equal(status, 0, stdout + stderr);
});

test('installed without scripts it starts, lists, reloads and ends an app', () => {
  writeFileSync(join(folder, 'app.cjs'), "require('node:http').createServer((q, r) => r.end('hi')).listen(0);");
  const started = covet('start', 'app.cjs', '-i', '2');
  assert.equal(started.code, 0, started.stderr);
  const list = JSON.parse(covet('list', '--json').stdout) as { apps: { status: string }[] };
  assert.equal(list.apps[0]!.status, 'online');
  assert.equal(covet('reload', 'app').code, 0);
  assert.equal(covet('kill').code, 0);
});

test('its types check in a strict project of somebody else', () => {
  const source = `
    import { connect, CovetError, Supervisor } from 'covet-pm';
    import { onDrain } from 'covet-pm/worker';
    const client = await connect();
    const name: string = (await client.list()).apps[0]!.name;
    // @ts-expect-error: a number is no name
    await client.reload({ app: 1 });
    onDrain(async () => {});
    export { name, CovetError, Supervisor };
  `;
  writeFileSync(join(folder, 'consumer.mts'), source);
  const checked = spawnSync(
    join(root, 'node_modules', '.bin', 'tsc'),
    [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--types',
      'node',
      '--typeRoots',
      join(root, 'node_modules', '@types'),
      'consumer.mts',
    ],
    {
      cwd: folder,
      encoding: 'utf8',
    },
  );
  assert.equal(checked.status, 0, checked.stdout);
});

test('where there are no binaries, the first command says what is missing and the line that builds it', () => {
  renameSync(join(installed, 'prebuilds'), join(folder, 'prebuilds'));
  const { code, stderr } = covet('start', 'app.cjs');
  renameSync(join(folder, 'prebuilds'), join(installed, 'prebuilds'));
  assert.equal(code, 1);
  assert.match(stderr, /Expected covet\.node for linux-\w+ in the package, found none.*npm install .*build-native\.mjs/);
});
