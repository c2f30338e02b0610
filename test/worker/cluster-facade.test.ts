/**
 * In cluster mode an app of node:cluster runs its worker branch, as under PM2; in fork mode its own cluster is left alone, and only its
 * primary's listen() is lent.
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import test from 'node:test';
import { FakeSupervisor, fixture, within } from './harness.ts';

test("a cluster app runs its worker branch, and its worker is node's", async (t) => {
  const worker = FakeSupervisor.for(t).spawn(fixture('worker/cluster-app.cjs'), { mode: 'cluster', slot: 2, env: { PORT: '0' } });
  const [, shape = ''] = await worker.line(/shape (.*)\n/);
  assert.deepEqual(JSON.parse(shape), {
    id: 3,
    isWorker: true,
    isMaster: false,
    connected: true,
    dead: false,
    left: null,
    fork: 'undefined',
  });
  assert.equal(await body(await worker.port()), `worker ${worker.process.pid}`);
  worker.send({ t: 'message', data: { a: 1 } });
  assert.deepEqual((await worker.until('message')).data, { echo: { a: 1 } });
});

for (const way of ['disconnect', 'kill'] as const) {
  test(`cluster.worker.${way}() ends the worker in good order`, async (t) => {
    const worker = FakeSupervisor.for(t).spawn(fixture('worker/cluster-app.cjs'), { mode: 'cluster', env: { PORT: '0' } });
    await worker.until('listening');
    worker.send({ t: 'message', data: way });
    assert.deepEqual(await worker.ended, { code: 0, signal: null });
    if (way === 'disconnect') assert.match(worker.stdout, /disconnected true false/);
    assert.equal(worker.stderr, '');
  });
}

test('an ES module sees the worker by name', async (t) => {
  const worker = FakeSupervisor.for(t).spawn(fixture('worker/cluster-app.mjs'), { mode: 'cluster' });
  const [, shape = ''] = await worker.line(/shape (.*)\n/);
  assert.deepEqual(JSON.parse(shape), { isPrimary: false, isWorker: true, id: 1, same: true });
});

test('in fork mode a cluster of the app works as ever, on a lent socket', async (t) => {
  const worker = FakeSupervisor.for(t).spawn(fixture('worker/cluster-app.cjs'), { mode: 'fork', env: { PORT: '0' } });
  await worker.line(/primary/);
  await worker.line(/shape .*\n(?:.*\n)*shape/);
  const answer = await body(await worker.port());
  assert.match(answer, /^worker \d+$/);
  assert.notEqual(answer, `worker ${worker.process.pid}`);
  assert.equal((await worker.until('listening')).own, undefined);
});

for (const mode of ['cluster', 'fork'] as const) {
  test(`a UDP app binds, and hears node's errors, ${mode} mode`, async (t) => {
    const supervisor = FakeSupervisor.for(t);
    const worker = supervisor.spawn(fixture('worker/udp.cjs'), { mode });
    const port = Number((await worker.line(/bound (\d+)\n/))[1]);
    const socket = createSocket('udp4');
    t.after(() => socket.close());
    socket.send('hello', port, '127.0.0.1');
    const [data] = (await within(once(socket, 'message'), 'an echo')) as [Buffer];
    assert.equal(data.toString(), `hello to ${worker.process.pid}`);
    const second = FakeSupervisor.for(t).spawn(fixture('worker/udp.cjs'), { mode, env: { PORT: String(port) } });
    await second.line(/error EADDRINUSE bind/);
    assert.equal(worker.stderr + second.stderr, '');
  });
}

async function body(port: number): Promise<string> {
  const [response] = (await within(once(get({ port, agent: false }), 'response'), 'a response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return text;
}
