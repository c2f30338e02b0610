/** The copies in versions/: what is kept, what goes, and that two who place one do so one after the other. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { placeVersion, withVersions } from '../../dashboard/versions.ts';
import { binary } from '../../native/index.ts';
import { pathsOf, type Paths } from '../../supervisor/protocol/paths.ts';
import { eventually } from '../promises/eventually.ts';

/** Above pid_max: nobody's. */
const NOBODY = 4_194_305;

function homeIn(t: TestContext): Paths {
  const home = mkdtempSync(join(tmpdir(), 'covet-versions-'));
  t.after(() => rmSync(home, { recursive: true }));
  const paths = pathsOf({ COVET_HOME: home }, 0);
  mkdirSync(paths.versions);
  return paths;
}

/** A package with as much in it as a copy needs. */
function placed(paths: Paths, version: string): string {
  const source = join(paths.home, `package-${version}`);
  for (const file of ['package.json', 'dist/supervisor.mjs', 'dist/preload.cjs', `prebuilds/linux-${process.arch}/covet-init`]) {
    mkdirSync(dirname(join(source, file)), { recursive: true });
    writeFileSync(join(source, file), file === 'package.json' ? JSON.stringify({ version }) : `// ${version}`);
  }
  return placeVersion(paths, source);
}

test('a copy is kept while a worker names its preload, even one that has set its title; then it goes', async (t) => {
  const paths = homeIn(t);
  const [byArgument, byEnvironment] = [placed(paths, '0.1.0'), placed(paths, '0.2.0')].map((folder) => join(folder, 'dist/preload.cjs'));
  const script = 'process.title = "x"; console.log("titled"); setInterval(() => {}, 1_000);';
  // placeVersion keeps the newest only: the first went when the second came.
  assert.equal(existsSync(byArgument!), false);
  placed(paths, '0.1.0');
  const untitled = spawn(process.execPath, ['-r', byArgument!, '-e', 'console.log("up"); setInterval(() => {}, 1_000)']);
  await once(untitled.stdout, 'data');
  placed(paths, '0.2.0');
  const boot = JSON.stringify({ v: 1, preload: byEnvironment });
  const titled = spawn(process.execPath, ['-e', script], { env: { COVET_BOOT: boot } });
  await once(titled.stdout, 'data');
  const newest = placed(paths, '0.3.0');
  assert.deepEqual([existsSync(byArgument!), existsSync(byEnvironment!)], [true, true]);
  for (const worker of [untitled, titled]) {
    worker.kill('SIGKILL');
    await once(worker, 'exit');
  }
  placed(paths, '0.3.0');
  assert.deepEqual(readdirSync(paths.versions), [basename(newest)]);
});

test('current and previous are kept, and of half-made copies those whose process lives', (t) => {
  const paths = homeIn(t);
  for (const name of ['0.0.1-a', '0.0.2-b', '0.0.3-c', `0.0.4-d.${NOBODY}`, `0.0.5-e.${process.pid}`])
    mkdirSync(join(paths.versions, name));
  symlinkSync('0.0.1-a', join(paths.versions, 'current'));
  symlinkSync('0.0.2-b', join(paths.versions, 'previous'));
  const own = basename(placed(paths, '0.1.0'));
  assert.deepEqual(readdirSync(paths.versions).sort(), ['0.0.1-a', '0.0.2-b', `0.0.5-e.${process.pid}`, own, 'current', 'previous'].sort());
});

/** As /proc/locks tells it: `1: -> FLOCK ADVISORY WRITE pid …`. */
function waitsForLock(pid: number): Promise<true> {
  const waits = new RegExp(`-> FLOCK .* ${pid} `);
  return eventually(`${pid} to wait for the lock`, () => waits.test(readFileSync('/proc/locks', 'utf8')));
}

test('a copy that fails half-way is said of the home, and leaves nothing', (t) => {
  const paths = homeIn(t);
  const folder = placed(paths, '0.1.0');
  rmSync(folder, { recursive: true });
  // In the place of a full disk, which would take a file system of its own: a file where the copy is made.
  writeFileSync(`${folder}.${process.pid}`, '');
  assert.throws(() => placed(paths, '0.1.0'), {
    code: 'COVET_ERR_HOME_UNUSABLE',
    message: /^Cannot use \S+ as COVET_HOME: covet-pm cannot be copied to \S+ \(.+\)\./,
  });
  assert.deepEqual(readdirSync(paths.versions), []);
});

test('who comes second waits, and is let in when the first is done or dead', async (t) => {
  const paths = homeIn(t);
  const script = `require(${JSON.stringify(binary('covet.node'))}).lock(process.argv[1]); console.log('has it'); setInterval(() => {}, 1_000);`;
  const other = () => spawn(process.execPath, ['-e', script, `${paths.versions}.lock`]);
  let second!: ReturnType<typeof other>;
  let isIn = false;
  await withVersions(paths, async () => {
    second = other();
    second.stdout.once('data', () => (isIn = true));
    await waitsForLock(second.pid!);
    assert.equal(isIn, false);
  });
  if (!isIn) await once(second.stdout, 'data');
  const third = other();
  await waitsForLock(third.pid!);
  second.kill('SIGKILL');
  await once(third.stdout, 'data');
  third.kill('SIGKILL');
  await once(third, 'exit');
});
