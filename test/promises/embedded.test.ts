/** An embedded supervisor: a program of one's own starts an app, reloads it under load, closes; and leaves nothing when it dies. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test, type TestContext } from 'node:test';
import { type Load, LoadProcess } from '../load/load.ts';
import { within } from './eventually.ts';
import { Home } from './home.ts';
import { freePort } from './ports.ts';
import { Deployment } from './release.ts';
import { repositoryRoot } from './root.ts';

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

describe('an embedded supervisor', () => {
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
