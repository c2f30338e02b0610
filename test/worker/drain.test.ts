/**
 * A drain, kind by kind: what the client sees, what is counted. One worker, clients of every protocol, one drain message.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, get, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as SecureAgent, get as getSecure } from 'node:https';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import test, { type TestContext } from 'node:test';
import { WebSocket } from 'ws';
import type { DrainCounts } from '../../supervisor/protocol/worker-wire.ts';
import { eventually } from '../promises/eventually.ts';
import { FakeSupervisor, fixture, within, type Worker } from './harness.ts';

const NONE = { http1: 0, http1Idle: 0, http2: 0, websocket: 0, sse: 0, raw: 0 };
const NOTHING: DrainCounts = { handedOver: 0, drained: NONE, idleClosed: 0, cut: NONE };

test('nothing open: drained at once, and the worker stays until it is told to stop', async (t) => {
  const { worker } = await serve(t, 'streams.cjs');
  worker.drain();
  assert.deepEqual((await worker.until('drained')).counts, NOTHING);
  worker.drain();
  await worker.until('drained', (message) => message !== worker.messages.find(({ t: type }) => type === 'drained'));
  worker.process.kill('SIGTERM');
  assert.deepEqual(await worker.ended, { code: null, signal: 'SIGTERM' });
});

for (const kind of ['http', 'https'] as const) {
  test(`${kind} without an heir: the next response says Connection: close`, async (t) => {
    const { worker, port } = await serve(t, 'streams.cjs', { KIND: kind });
    const agent = kind === 'http' ? new Agent({ keepAlive: true }) : new SecureAgent({ keepAlive: true, rejectUnauthorized: false });
    t.after(() => agent.destroy());
    const ask = () => answered((kind === 'http' ? get : getSecure)({ port, agent }));
    assert.equal((await ask()).headers.connection, 'keep-alive');
    worker.drain();
    await worker.until('draining', ({ open }) => open.http1Idle === 1);
    assert.equal((await ask()).headers.connection, 'close');
    assert.deepEqual((await worker.until('drained')).counts, { ...NOTHING, drained: { ...NONE, http1: 1 } });
  });

  test(`${kind}, idle beyond its grace: half-closed, closed, counted apart`, async (t) => {
    const { worker, port } = await serve(t, 'streams.cjs', { KIND: kind, KEEP_ALIVE: '60000' });
    const agent = kind === 'http' ? new Agent({ keepAlive: true }) : new SecureAgent({ keepAlive: true, rejectUnauthorized: false });
    t.after(() => agent.destroy());
    await answered((kind === 'http' ? get : getSecure)({ port, agent }));
    worker.drain({ idleGraceMs: 50 });
    assert.deepEqual((await worker.until('drained')).counts, { ...NOTHING, idleClosed: 1 });
  });
}

test('idle as the deadline comes: half-closed before it, and what crosses is not answered by a reset', async (t) => {
  const { worker, port } = await serve(t, 'streams.cjs', { KEEP_ALIVE: '60000' });
  const client = connect({ port, allowHalfOpen: true });
  client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await within(once(client, 'data'), 'an answer');
  worker.drain({ deadlineMs: 2_000 });
  await within(once(client.resume(), 'end'), 'the half-close');
  const closed = once(client, 'close');
  client.write('GET /crossed HTTP/1.1\r\nHost: a\r\n\r\n', () => client.end());
  assert.deepEqual(await within(closed, 'the close'), [false]);
  assert.deepEqual((await worker.until('drained')).counts, { ...NOTHING, idleClosed: 1 });
});

test('a request in flight is answered, a new connection that crossed the flip too', async (t) => {
  const { worker, port, listener } = await serve(t, 'echo.cjs');
  const slow = answered(get({ port, path: '/slow', agent: false }));
  worker.drain({ idleGraceMs: 100 });
  assert.equal((await slow).body, '/slow ');
  assert.equal((await answered(get({ port, path: '/crossed', agent: false }))).body, '/crossed ');
  await worker.until('drained');
  assert.notEqual(listener, '');
});

test('stopAccepting leaves the queue to others and the server as it was', async (t) => {
  const { worker, port, listener, supervisor } = await serve(t, 'apps/http.cjs');
  worker.drain({ stopAccepting: [listener] });
  await worker.until('drained');
  const waiting = answered(get({ port, agent: false }));
  const successor = supervisor.spawn(fixture('apps/http.cjs'), { env: { PORT: String(port) } });
  assert.equal((JSON.parse((await waiting).body) as { pid: number }).pid, successor.process.pid);
});

test('what is still open at the deadline is cut, and counted by kind', async (t) => {
  const { worker, port } = await serve(t, 'streams.cjs');
  const hanging = get({ port, path: '/hang', agent: false });
  hanging.on('error', () => {});
  await once(hanging, 'finish');
  worker.drain({ deadlineMs: 600 });
  await worker.until('draining', ({ open }) => open.http1 === 1);
  assert.deepEqual((await worker.until('drained')).counts, { ...NOTHING, cut: { ...NONE, http1: 1 } });
  assert.equal(hanging.destroyed || (await within(once(hanging, 'close'), 'the end of the request'), true), true);
});

test('raw TCP has until the deadline', async (t) => {
  const { worker, port } = await serve(t, 'raw-echo.cjs');
  const socket = connect({ port });
  socket.write('x');
  await once(socket, 'data');
  worker.drain({ deadlineMs: 500 });
  assert.deepEqual((await worker.until('drained')).counts, { ...NOTHING, cut: { ...NONE, raw: 1 } });
});

test('raw TCP that ends before it is drained', async (t) => {
  const { worker, port } = await serve(t, 'raw-echo.cjs');
  const socket = connect({ port });
  socket.write('x');
  await once(socket, 'data');
  worker.drain();
  await worker.until('draining', ({ open }) => open.raw === 1);
  socket.end();
  assert.deepEqual((await worker.until('drained')).counts, { ...NOTHING, drained: { ...NONE, raw: 1 } });
});

test('HTTP/2: a GOAWAY that refuses nothing, then one with the last stream', async (t) => {
  const { worker, port } = await serve(t, 'apps/h2c.cjs');
  const client = await rawHttp2(port);
  worker.drain();
  const goaways = await client.goaways;
  // Node repeats the last one as it closes.
  assert.deepEqual([...new Set(goaways)], [2 ** 31 - 1, 0]);
  assert.deepEqual((await worker.until('drained')).counts, { ...NOTHING, drained: { ...NONE, http2: 1 } });
});

test('HTTP/2: a stream that is open finishes', async (t) => {
  const { worker, port } = await serve(t, 'slow-http2.cjs');
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  t.after(() => session.destroy());
  const stream = session.request({ ':path': '/' });
  await within(once(stream, 'response'), 'the head of an answer');
  worker.drain();
  await within(once(session, 'goaway'), 'a GOAWAY');
  worker.send({ t: 'message', data: 'finish' });
  let body = '';
  for await (const chunk of stream) body += String(chunk);
  assert.equal(body, 'begin end');
  assert.deepEqual((await worker.until('drained')).counts, { ...NOTHING, drained: { ...NONE, http2: 1 } });
});

test('server-sent events end, spread over a quarter of the deadline', async (t) => {
  const { worker, port } = await serve(t, 'streams.cjs');
  const agent = new Agent({ keepAlive: false });
  const streams = await Promise.all(Array.from({ length: 8 }, () => responded(get({ port, path: '/events', agent }))));
  const begin = performance.now();
  const ends = streams.map(async (stream) => {
    await once(stream.resume(), 'end');
    return performance.now() - begin;
  });
  worker.drain({ deadlineMs: 2_000, idleGraceMs: 50 });
  const { counts } = await worker.until('drained');
  assert.deepEqual(counts, { ...NOTHING, drained: { ...NONE, sse: 8 } });
  const times = await Promise.all(ends);
  assert.ok(Math.max(...times) - Math.min(...times) > 200, `Expected ends spread over 500 ms, got ${times.map(Math.round).join(' ')}`);
});

for (const [name, script, clients] of [
  ['ws', 'apps/ws-echo.cjs', 40],
  ['a server that writes frames in two halves', 'ws-in-halves.cjs', 40],
] as const) {
  test(`WebSockets of ${name} are closed with 1001, no frame torn`, async (t) => {
    const { worker, port } = await serve(t, script);
    const sockets = Array.from({ length: clients }, () => new WebSocket(`ws://127.0.0.1:${port}/?push=1`));
    const closed = sockets.map(async (socket) => {
      const errors: string[] = [];
      socket.on('error', (error) => errors.push(error.message));
      const [code] = (await once(socket, 'close')) as [number];
      return errors.length > 0 ? errors[0] : code;
    });
    await within(Promise.all(sockets.map((socket) => once(socket, 'message'))), 'a message for each');
    worker.drain({ deadlineMs: 10_000 });
    assert.deepEqual(
      (await within(Promise.all(closed), 'the end of each')).filter((code) => code !== 1001),
      [],
    );
    assert.deepEqual((await worker.until('drained')).counts, { ...NOTHING, drained: { ...NONE, websocket: clients } });
  });
}

test('an heir that refuses, or dies, leaves the connections with us, and no request is lost', async (t) => {
  for (const end of ['refuses', 'dies'] as const) {
    const { worker, port, listener, supervisor } = await serve(t, 'echo.cjs');
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    t.after(() => agent.destroy());
    const ask = (path: string) => answered(get({ port, path, agent }));
    await Promise.all(['/1', '/2', '/3', '/4'].map(ask));
    const heir = supervisor.spawn(fixture('worker/only-up.cjs'));
    await heir.line(/up/);
    supervisor.introduce(worker, heir);
    if (end === 'dies') heir.process.kill('SIGSTOP');
    worker.drain({ handOver: true, stopAccepting: [listener] });
    const answers = Promise.all(['/5', '/6', '/7', '/8'].map(ask));
    if (end === 'dies') {
      await worker.until('draining');
      await heir.kill();
    }
    assert.deepEqual((await answers).map(({ body }) => body).sort(), ['/5 ', '/6 ', '/7 ', '/8 ']);
    const { counts } = await worker.until('drained');
    assert.equal(counts.handedOver, 0);
    assert.deepEqual(counts.cut, NONE);
  }
});

test('onDrain hooks hold the drain until they are done; one that fails is told', async (t) => {
  const worker = FakeSupervisor.for(t).spawn(fixture('worker/drain-hooks.mjs'), { env: { SDK: sdk() }, slot: 3, generation: 9 });
  assert.equal((await worker.line(/ready (.*)\n/))[1], 'true {"app":"test","slot":3,"generation":9}');
  await worker.until('ready');
  worker.drain();
  await worker.line(/hook begins true false/);
  assert.equal(
    worker.messages.some(({ t: type }) => type === 'drained'),
    false,
  );
  worker.send({ t: 'message', data: 'enough' });
  await worker.until('drained');
  // By other pipes than the channel: they may come after it.
  await worker.line(/hook ends false/);
  await eventually('the failure to be told', () => worker.stderr === 'covet-pm: an onDrain hook failed: no such queue, ignoring\n');
  assert.doesNotMatch(worker.stdout, /taken back/);
});

test('onDrain hooks are bounded by the deadline', async (t) => {
  const worker = FakeSupervisor.for(t).spawn(fixture('worker/drain-hooks.mjs'), { env: { SDK: sdk() } });
  await worker.line(/ready/);
  worker.drain({ deadlineMs: 300 });
  await worker.until('drained');
  await worker.line(/hook ends true/);
});

test('the sdk does nothing outside covet-pm', async (t) => {
  const worker = FakeSupervisor.for(t).spawn(fixture('worker/drain-hooks.mjs'), { env: { SDK: sdk() }, preload: 'none' });
  assert.equal((await worker.line(/ready (.*)\n/))[1], 'false null');
});

test('the servers of a thread are drained with the others', async (t) => {
  const { worker, port } = await serve(t, 'listens-in-thread.cjs');
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  await answered(get({ port, agent }));
  worker.drain({ idleGraceMs: 50 });
  assert.deepEqual((await worker.until('drained')).counts, { ...NOTHING, idleClosed: 1 });
});

interface Served {
  readonly worker: Worker;
  readonly port: number;
  readonly listener: string;
  readonly supervisor: FakeSupervisor;
}

async function serve(t: TestContext, script: string, env: Record<string, string> = {}): Promise<Served> {
  const supervisor = FakeSupervisor.for(t);
  const worker = supervisor.spawn(fixture(script.includes('/') ? script : `worker/${script}`), { env: { PORT: '0', ...env } });
  const port = await worker.port();
  const { listener } = await worker.until('listening');
  return { worker, port, listener, supervisor };
}

async function responded(request: ClientRequest): Promise<IncomingMessage> {
  const [response] = (await within(once(request, 'response'), 'a response')) as [IncomingMessage];
  return response;
}

async function answered(request: ClientRequest): Promise<{ headers: IncomingMessage['headers']; body: string }> {
  const response = await responded(request);
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { headers: response.headers, body };
}

/** A client that only says hello and writes down the last stream of each GOAWAY, until its connection ends. RFC 9113 §4.1, §6.8. */
async function rawHttp2(port: number): Promise<{ goaways: Promise<number[]> }> {
  const socket = connect({ port });
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), settings]));
  let bytes = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => (bytes = Buffer.concat([bytes, chunk])));
  await within(once(socket, 'data'), "the server's settings");
  const goaways = within(once(socket, 'close'), 'the end of the session').then(() => {
    const streams: number[] = [];
    for (let at = 0; at < bytes.length; at += 9 + bytes.readUIntBE(at, 3))
      if (bytes[at + 3] === 7) streams.push(bytes.readUInt32BE(at + 9));
    return streams;
  });
  return { goaways };
}

function sdk(): string {
  return process.env['COVET_TEST_SDK'] ?? fixture('../../dist/worker.mjs');
}
