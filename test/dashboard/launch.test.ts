/** The launcher against the real covet-init: one supervisor of many callers, and a start that fails says why. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { packageRoot } from '../../native/index.ts';
import type { OperationResults } from '../../supervisor/protocol/operations.ts';

const BIN = join(packageRoot(), 'dist', 'covet-pm.cjs');

async function covet(home: string, ...argv: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const env = { PATH: process.env['PATH'] ?? '', COVET_HOME: home, SECRET: 'of the caller', NODE_OPTIONS: '' };
  const child = spawn(process.execPath, [BIN, ...argv], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += String(chunk)));
  child.stderr.on('data', (chunk) => (stderr += String(chunk)));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, stdout, stderr };
}

function homeOf(t: TestContext): string {
  const base = mkdtempSync(join(tmpdir(), 'covet-launch-'));
  const home = join(base, 'home');
  t.after(async () => {
    await covet(home, 'kill');
    rmSync(base, { recursive: true, force: true });
  });
  return home;
}

test('of several that start at once all find the one supervisor', async (t) => {
  const home = homeOf(t);
  const results = await Promise.all([1, 2, 3, 4].map(() => covet(home, 'resurrect', '--json')));
  const pids = results.map(({ stdout, stderr }) => {
    assert.notEqual(stdout, '', stderr);
    return (JSON.parse(stdout) as OperationResults['resurrect']).init.pid;
  });
  assert.equal(new Set(pids).size, 1, pids.join(' '));
});

test('a start right after a kill gets a supervisor of its own', async (t) => {
  const home = homeOf(t);
  const pidNow = async () => (JSON.parse((await covet(home, 'resurrect', '--json')).stdout) as OperationResults['resurrect']).init.pid;
  const first = await pidNow();
  assert.equal((await covet(home, 'kill', '-q')).code, 0);
  const second = await pidNow();
  assert.notEqual(second, first);
});

test('the supervisor does not inherit the caller’s environment', async (t) => {
  const home = homeOf(t);
  const view = JSON.parse((await covet(home, 'resurrect', '--json')).stdout) as OperationResults['resurrect'];
  const env = readFileSync(`/proc/${view.supervisor.pid}/environ`, 'utf8').split('\0');
  assert.ok(env.includes(`COVET_HOME=${home}`));
  assert.ok(!env.some((variable) => variable.startsWith('SECRET=')));
});

test('a supervisor that cannot start says why, and leaves nothing that runs', async (t) => {
  const home = homeOf(t);
  mkdirSync(join(home, 'run', 'control.sock', 'in-the-way'), { recursive: true, mode: 0o700 });
  const { code, stderr } = await covet(home, 'resurrect');
  assert.equal(code, 1);
  assert.match(stderr, /^error The supervisor did not start: .*\n.*supervisor\.log ends with:\n.*EISDIR/s);
  assert.equal((await covet(home, 'list')).code, 3);
});

test('run refuses a home whose supervisor runs, and exits 125', async (t) => {
  const home = homeOf(t);
  await covet(home, 'resurrect');
  const script = join(home, 'app.js');
  writeFileSync(script, '');
  const { code, stderr } = await covet(home, 'run', script);
  assert.equal(code, 125);
  assert.match(stderr, /one runs already for .*home\. Use `start`, or unset COVET_HOME/);
});

test('where the home may execute nothing the supervisor runs from the package itself, and doctor says so', async (t) => {
  const home = homeOf(t);
  mkdirSync(home, { mode: 0o700 });
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'noexec,mode=0700', 'none', home]);
  if (mounted.status !== 0) return t.skip(`a file system cannot be mounted here: ${mounted.stderr.toString()}`);
  try {
    const { code, stderr } = await covet(home, 'resurrect', '--json');
    assert.equal(code, 0, stderr);
    const { folder } = JSON.parse((await covet(home, 'ping', '--json')).stdout) as OperationResults['ping'];
    assert.equal(folder, packageRoot());
    assert.match((await covet(home, 'doctor')).stdout, /runs from +.*\n +Not from a copy of its own/);
    const upgrade = await covet(home, 'upgrade');
    assert.equal(upgrade.code, 1);
    assert.match(upgrade.stderr, /its covet-init cannot take over/);
  } finally {
    await covet(home, 'kill');
    spawnSync('umount', [home]);
  }
});
