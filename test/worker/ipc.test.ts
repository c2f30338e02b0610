/**
 * process.send() and friends over the supervisor's channel are what node:child_process documents: each case runs under fork() too, and
 * must print the same.
 */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import test from 'node:test';
import { FakeSupervisor, fixture, node, within, type Worker } from './harness.ts';

const script = fixture('worker/ipc.cjs');

/** What is sent to it once it runs, and what it says. */
const LIKE_FORK: Record<string, readonly unknown[]> = {
  shape: [],
  ready: [],
  echo: ['a', { b: [1, null, 'ü'] }, 7, 'end'],
  late: [{ early: true }],
  waits: [['x']],
  disconnects: [],
  invalid: [],
  unrefs: [],
};

for (const mode of ['fork', 'cluster'] as const) {
  for (const [way, messages] of Object.entries(LIKE_FORK)) {
    test(`process IPC: ${way} is as under fork(), ${mode} mode`, async (t) => {
      const forked = await underFork(way, messages);
      const worker = FakeSupervisor.for(t).spawn(script, { mode, args: [way] });
      for (const data of messages) worker.send({ t: 'message', data });
      const { code } = await worker.ended;
      assert.deepEqual({ code, stdout: worker.stdout, sent: sent(worker) }, forked);
      assert.equal(worker.stderr, '');
    });
  }
}

test('an app of PM2 says ready, and ends by itself at shutdown', async (t) => {
  const worker = FakeSupervisor.for(t).spawn(script, { args: ['shutdown'], mode: 'cluster' });
  await worker.until('ready');
  worker.send({ t: 'hello', min: 1, max: 1 });
  assert.equal((await worker.until('hello', ({ ready }) => ready)).listeners.length, 1);
  worker.send({ t: 'message', data: 'shutdown' });
  assert.deepEqual(await worker.ended, { code: 0, signal: null });
  assert.equal(worker.stdout, 'closed\n');
});

test('a message beyond the bound is refused, and the channel lives on', async (t) => {
  const worker = FakeSupervisor.for(t).spawn(script, { args: ['floods'] });
  assert.deepEqual(await worker.ended, { code: 0, signal: null });
  assert.equal(worker.stdout, 'false\ncallback EMSGSIZE\n');
});

test("node's own IPC, where the app has one, is left alone", async (t) => {
  const worker = FakeSupervisor.for(t).spawn(fixture('worker/forks-a-worker.cjs'));
  assert.equal((await worker.line(/from its parent: (.*)\n/))[1], 'hello');
  assert.deepEqual(sent(worker), []);
});

for (const [handler, expected] of [
  ['SIGTERM', { sigterm: true, sigint: false }],
  ['SIGINT', { sigterm: false, sigint: true }],
] as const) {
  test(`a handler of ${handler} is told, and that it went`, async (t) => {
    const worker = FakeSupervisor.for(t).spawn(fixture('worker/handles-a-signal.cjs'), { args: [handler] });
    const { sigterm, sigint } = await worker.until('signals', (message) => message.sigterm || message.sigint);
    assert.deepEqual({ sigterm, sigint }, expected);
    worker.send({ t: 'message', data: 'enough' });
    await worker.ended;
    assert.deepEqual(
      worker.messages.filter(({ t: type }) => type === 'signals').map((message) => ({ ...message, t: undefined })),
      [{ sigterm: false, sigint: false }, expected, { sigterm: false, sigint: false }].map((state) => ({ t: undefined, ...state })),
    );
  });
}

function sent(worker: Worker): unknown[] {
  return worker.messages.flatMap((message) => (message.t === 'message' ? [message.data] : message.t === 'ready' ? ['ready'] : []));
}

async function underFork(way: string, messages: readonly unknown[]) {
  const child = fork(script, [way], { execPath: node, execArgv: [], stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  let stdout = '';
  const received: unknown[] = [];
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.on('message', (data) => received.push(data));
  for (const data of messages) child.send(data as object);
  const [code] = (await within(once(child, 'close'), `the end of ${way}`)) as [number];
  return { code, stdout, sent: received };
}
