/** An embedded supervisor: a program of one's own starts an app, reloads it under load, closes; and leaves nothing when it dies. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test, type TestContext } from 'node:test';
import { type Load, LoadProcess } from '../load/load.ts';
import { DEADLINE_MS, within } from './eventually.ts';
import { Home, resultOf } from './home.ts';
import { freePort } from './ports.ts';
import { Deployment } from './release.ts';
import { repositoryRoot } from './root.ts';
import { said } from './served.ts';

/** What a user's program looks like; driven by lines on stdin, answers by lines on stdout. */
const PROGRAM = `
import { createInterface } from 'node:readline';
import { Supervisor } from ${JSON.stringify(join(repositoryRoot(), 'dist/index.mjs'))};
const supervisor = new Supervisor({ home: process.env.COVET_HOME });
const { SCRIPT, APP_CWD, APP_PORT } = process.env;
await supervisor.call('start', { config: { name: 'web', script: SCRIPT, cwd: APP_CWD, instances: 2, minHealthyMs: 150, env: { PORT: APP_PORT } }, env: { ...process.env } });
console.log('started');
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'close') { await supervisor.close(); break; }
  await supervisor.call(line, { app: 'web' });
  console.log('done ' + line);
}
console.log('closed');
`;

interface Program {
  readonly child: ChildProcess;
  readonly home: Home;
  readonly load: Load;
  says(line: string): Promise<void>;
}

async function start(t: TestContext): Promise<Program> {
  const home = new Home();
  const load = await LoadProcess.start();
  t.after(async () => {
    await load.close();
    await home.end();
  });
  const port = await freePort();
  const deployment = new Deployment(join(home.work, 'app'), 'http.cjs');
  const file = join(home.work, 'program.mjs');
  writeFileSync(file, PROGRAM);
  const child = spawn(process.execPath, [file], {
    env: { ...home.env, SCRIPT: deployment.script, APP_CWD: deployment.folder, APP_PORT: String(port) },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const says = async (line: string): Promise<void> => {
    const { value } = await within(`the program to say ${line}`, lines.next());
    assert.equal(value, line);
  };
  await says('started');
  return { child, home, says, load: await load.begin({ kind: 'reconnect', target: { host: '127.0.0.1', port }, connections: 4 }) };
}

/** Runs a program around `supervisor`, which has a home of its own; it must end well and leave none. Answers with what it printed. */
async function printed(t: TestContext, body: string, before = ''): Promise<string> {
  const home = Home.open(t);
  const temporary = join(home.work, 'tmp');
  mkdirSync(temporary);
  const deployment = new Deployment(join(home.work, 'app'), 'http.cjs');
  const file = join(home.work, 'program.mjs');
  writeFileSync(
    file,
    `${before}
    import { readFileSync } from 'node:fs';
    const { Supervisor } = await import(${JSON.stringify(join(repositoryRoot(), 'dist/index.mjs'))});
    const supervisor = new Supervisor();
    const codeOf = (call) => call.then(() => 'done', (error) => error.code);
    const app = { config: { name: 'web', script: process.env.SCRIPT, cwd: process.env.APP_CWD, instances: 1, minHealthyMs: 150, env: { PORT: '0' } }, env: { ...process.env } };
    ${body}`,
  );
  const env = { ...home.env, TMPDIR: temporary, SCRIPT: deployment.script, APP_CWD: deployment.folder };
  const child = spawn(process.execPath, [file], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const result = await resultOf(child, 'the program', DEADLINE_MS);
  assert.equal(result.code, 0, said(result));
  assert.deepEqual(readdirSync(temporary), [], 'its home is left');
  await home.assertNothingLeft();
  return result.stdout;
}

describe('an embedded supervisor', () => {
  test('refuses what no operation takes by code, and removes its own home at close', async (t) => {
    const codes = await printed(
      t,
      `console.log(await codeOf(supervisor.call('start', { config: { name: 'web', script: 'a.js', cwd: '/', instances: 'many' }, env: {} })));
      console.log(await codeOf(supervisor.call('stop', { app: 'web', soon: true })));
      console.log(await codeOf(supervisor.call('stopp', {})));
      await supervisor.close();`,
    );
    assert.equal(codes, 'COVET_ERR_CONFIG_FIELD\nCOVET_ERR_CONFIG_UNKNOWN\nCOVET_ERR_CONTROL_METHOD\n');
  });

  test('has the methods of the typed client, and gives an app the environment of its program', async (t) => {
    const told = await printed(
      t,
      `process.env.OF_THE_PROGRAM = 'yes';
      const said = [];
      const { env, ...withoutEnv } = app;
      await supervisor.start(withoutEnv, { onProgress: (text) => said.push(text) });
      const { env: its } = await supervisor.describe({ app: 'web', showEnv: true });
      console.log(said.length > 0, its.OF_THE_PROGRAM, 'COVET_HOME' in its);
      await supervisor.reload({ app: 'web' });
      console.log((await supervisor.list()).apps[0].generation);
      console.log(await codeOf(supervisor.stop({ app: 'wbe' })));
      await supervisor.close();`,
    );
    assert.equal(told, 'true yes false\n2\nCOVET_ERR_APP_UNKNOWN\n');
  });

  test('a package without its compiled parts is refused by code', async (t) => {
    const home = Home.open(t);
    for (const part of ['dist', 'package.json'])
      cpSync(join(repositoryRoot(), part), join(home.work, 'package', part), { recursive: true });
    const file = join(home.work, 'program.mjs');
    writeFileSync(
      file,
      `import { Supervisor } from ${JSON.stringify(join(home.work, 'package/dist/index.mjs'))};
      try { new Supervisor(); } catch (error) { console.log(error.name, error.code); }`,
    );
    const result = await resultOf(spawn(process.execPath, [file], { env: home.env, stdio: ['ignore', 'pipe', 'pipe'] }), 'the program');
    assert.equal(result.stdout, 'CovetError COVET_ERR_NATIVE_MISSING\n', said(result));
  });

  test('goes on when a listener of its events throws', async (t) => {
    const told = await printed(
      t,
      `const types = new Set();
      supervisor.onEvent(() => { throw new Error('a fault of the program'); });
      supervisor.onEvent(({ type }) => types.add(type));
      await supervisor.call('start', app);
      console.log(types.has('slot.changed'));
      await supervisor.close();`,
    );
    assert.equal(told, 'true\n');
  });

  test('a covet-init that cannot be started is told to each caller, and close() still ends', async (t) => {
    const codes = await printed(
      t,
      `console.log(await codeOf(supervisor.call('list', {})));
      await supervisor.close();`,
      `import childProcess from 'node:child_process';
      import { syncBuiltinESMExports } from 'node:module';
      const { spawn } = childProcess;
      childProcess.spawn = (path, ...rest) => spawn(path + '-absent', ...rest);
      syncBuiltinESMExports();`,
    );
    assert.equal(codes, 'COVET_ERR_SUPERVISOR_START\n');
  });

  test('close() ends though covet-init was killed', async (t) => {
    const end = await printed(
      t,
      `await supervisor.call('start', app);
      process.kill(Number(readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8')), 'SIGKILL');
      await supervisor.close();
      console.log('closed');
      process.exit(); // its timers wait for workers whose end nobody tells`,
    );
    assert.equal(end, 'closed\n');
  });

  test('reloads without a loss, and leaves nothing when it is closed', async (t) => {
    const { child, home, load, says } = await start(t);
    for (let i = 0; i < 3; i++) {
      child.stdin?.write('reload\n');
      await says('done reload');
      await load.more(20);
    }
    assert.equal((await load.stop()).lost, 0);
    child.stdin?.write('close\n');
    await says('closed');
    child.stdin?.end();
    await once(child, 'exit');
    assert.equal(child.exitCode, 0);
    await home.assertNothingLeft();
  });

  test('and `run` remove the temporary homes that were left by those killed, and no other folder', async (t) => {
    const home = Home.open(t);
    const temporary = mkdtempSync(join(tmpdir(), 'cv-'));
    t.after(() => rmSync(temporary, { recursive: true }));
    // Its name is as those are, its supervisor is gone, and somebody wants it.
    const named = join(temporary, 'covet-wanted');
    mkdirSync(join(named, 'run'), { recursive: true });
    writeFileSync(join(named, 'run/covet-init.lock'), '1\n');
    const script = join(home.work, 'app.cjs');
    writeFileSync(script, "console.log('up'); setInterval(() => {}, 1_000);");
    const program = join(home.work, 'program.mjs');
    writeFileSync(
      program,
      `import { Supervisor } from ${JSON.stringify(join(repositoryRoot(), 'dist/index.mjs'))};
      const supervisor = new Supervisor();
      await supervisor.start({ config: { name: 'web', script: ${JSON.stringify(script)}, cwd: '/', minHealthyMs: 100 } });
      console.log('up');`,
    );
    const env = { ...home.env, TMPDIR: temporary, COVET_HOME: '' };
    const begin = async (args: readonly string[]): Promise<ChildProcess> => {
      const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
      const { value } = await within(
        `${args.join(' ')} to say up`,
        createInterface({ input: child.stdout })[Symbol.asyncIterator]().next(),
      );
      assert.equal(value, 'up');
      return child;
    };
    const killed = async (child: ChildProcess): Promise<void> => {
      // Of `run` the child is covet-init, which ends with its supervisor.
      const supervisor =
        home.processes().find(({ pid, command }) => pid !== child.pid && command.endsWith('supervisor.mjs'))?.pid ?? child.pid ?? 0;
      const exited = once(child, 'exit');
      process.kill(supervisor, 'SIGKILL');
      await exited;
      await home.assertNothingLeft();
    };
    const run = [join(repositoryRoot(), 'dist/covet-pm.cjs'), 'run', script, '--min-healthy', '100'];
    for (const args of [[program], run, [program]]) {
      const child = await begin(args);
      assert.equal(readdirSync(temporary).length, 2, readdirSync(temporary).join());
      await killed(child);
    }
    assert.ok(readdirSync(temporary).includes('covet-wanted'));
  });

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    test(`when its program ends by ${signal} the workers drain and end`, async (t) => {
      const { child, home, load } = await start(t);
      await load.more(20);
      const { lost } = await load.stop();
      assert.equal(lost, 0);
      child.kill(signal);
      await once(child, 'exit');
      await home.assertNothingLeft();
    });
  }
});
