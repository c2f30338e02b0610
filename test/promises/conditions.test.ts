/**
 * The three conditions of a listener: a connection waits while a successor is due, and is refused (not swallowed) when nobody will
 * take it: after stop, after the app failed, and when the wait would be longer than `queueMs`.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import net from 'node:net';
import { answerOf } from '../load/run.ts';
import { Lost } from '../load/tally.ts';
import { Wire } from '../load/wire.ts';
import { eventually } from './eventually.ts';
import { Home } from './home.ts';
import { freePort } from './ports.ts';
import { Served } from './served.ts';

const DEADLINE_MS = 20_000;

async function connectsTo(port: number): Promise<'open' | 'refused'> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve('open');
    });
    socket.once('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNREFUSED' ? resolve('refused') : reject(error)));
  });
}

async function ask(served: Served, token: string): Promise<number> {
  const wire = await Wire.open(served.target, DEADLINE_MS);
  try {
    wire.write(`GET /?token=${token} HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n`);
    const { status, body } = await wire.response({ deadlineMs: DEADLINE_MS });
    const answer = answerOf(status, body);
    if (answer.token !== token) throw new Lost('body', JSON.stringify(answer));
    return answer.pid;
  } finally {
    wire.close();
  }
}

/** The app may have failed since it was looked at, and its workers have been ended with it. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

describe('conditions of a listener', () => {
  test('after stop a connect is refused, and after start it is answered', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    assert.equal(await connectsTo(served.port), 'open');
    assert.equal((await served.home.covet('stop', 'web')).code, 0);
    assert.equal((await served.home.app()).status, 'stopped');
    assert.equal(await connectsTo(served.port), 'refused');
    assert.equal((await served.home.covet('start', 'web')).code, 0);
    await ask(served, 'again');
  });

  test('after delete a connect is refused and the port is free for another program', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    assert.equal((await served.home.covet('delete', 'web')).code, 0);
    assert.equal(await connectsTo(served.port), 'refused');
    const server = net.createServer();
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(served.port, resolve));
    await new Promise((resolve) => server.close(resolve));
  });

  test('an address listed in `listen` of an app that fails to start is refused', async (t) => {
    const home = Home.open(t);
    const port = await freePort();
    const served = await Served.start(t, { app: 'http.cjs' });
    served.deployment.release('bad', 'throws-at-import.cjs');
    const result = await home.tryStart({
      script: served.deployment.script,
      instances: 2,
      listen: [`tcp://127.0.0.1:${port}`],
      restart: { delayMs: 10, delayMaxMs: 10 },
    });
    assert.equal(result.code, 1);
    assert.equal((await home.app()).status, 'failed');
    assert.equal(await connectsTo(port), 'refused');
  });

  test('an app that was ready and then failed is refused', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs', config: { restart: { delayMs: 10, delayMaxMs: 10, max: 2 } } });
    const events = await served.home.events();
    const fail = async (): Promise<boolean> => {
      const app = await served.home.app();
      if (app.status === 'failed') return true;
      for (const { pid, state } of app.workers) if (pid !== 0 && state === 'ready') killIfThere(pid);
      return false;
    };
    await eventually('the app to fail', fail);
    await events.waitFor('app.changed', (event) => event.to === 'failed');
    assert.equal(await connectsTo(served.port), 'refused');
  });

  test('while a successor is due a connection waits and is answered by it', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs', config: { instances: 1, restart: { delayMs: 1_000, delayMaxMs: 1_000 } } });
    const [pid = 0] = await served.home.pids();
    const events = await served.home.events();
    process.kill(pid, 'SIGKILL');
    await events.waitFor('worker.exited', (event) => event.pid === pid);
    assert.notEqual(await ask(served, 'waited'), pid);
  });

  for (const [name, config] of [
    ['when the next start is later than queueMs', { queueMs: 1, restart: { delayMs: 3_600_000, delayMaxMs: 3_600_000 } }],
    [
      'with `whenDown: refuse`, however soon the successor comes',
      { whenDown: 'refuse' as const, restart: { delayMs: 3_600_000, delayMaxMs: 3_600_000 } },
    ],
  ] as const) {
    test(`a connect is refused ${name}`, async (t) => {
      const served = await Served.start(t, { app: 'http.cjs', config: { instances: 1, ...config } });
      const [pid = 0] = await served.home.pids();
      const events = await served.home.events();
      process.kill(pid, 'SIGKILL');
      await events.waitFor('listener.changed', (event) => event.to === 'refusing');
      assert.equal(await connectsTo(served.port), 'refused');
      // Open again before the next worker's listen() returns.
      assert.equal((await served.home.covet('restart', 'web')).code, 0);
      await ask(served, 'again');
    });
  }
});
