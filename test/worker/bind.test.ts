/**
 * bind() of node:dgram under the preload is bind() under plain node, in every form: what is emitted and when, address(), errors. With it
 * the socket is a lent one, unless Node's cluster would not share it either; and it is read by one worker after the other, or by two.
 */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import test, { type TestContext } from 'node:test';
import { FakeSupervisor, fixture, node, within, type LendPolicy, type Worker, type WorkerOptions } from './harness.ts';

const UDP4 = { type: 'udp4' };
const UDP6 = { type: 'udp6' };

/** PORT stands for a free one. */
const LENT_FORMS: readonly (readonly [options: object, form: readonly unknown[]])[] = [
  [UDP4, ['PORT']],
  [UDP4, ['"PORT"']],
  [UDP4, ['PORT', '127.0.0.1']],
  [UDP4, ['PORT', 'localhost']],
  [UDP4, [{ port: 'PORT' }]],
  [UDP4, [{ port: 'PORT', address: '127.0.0.1', exclusive: false }]],
  [{ ...UDP4, reuseAddr: true }, ['PORT']],
  [{ ...UDP4, recvBufferSize: 20_000 }, ['PORT']],
  [UDP6, ['PORT']],
  [UDP6, ['PORT', '::1']],
  [{ ...UDP6, ipv6Only: true }, ['PORT', '::']],
];

for (const [options, form] of LENT_FORMS) {
  test(`bind(${JSON.stringify(form).slice(1, -1)}) of ${JSON.stringify(options)} looks as in plain node`, async (t) => {
    const port = await freePort();
    await looksPlain(t, options, fill(form, port), async (worker, supervisor) => {
      assert.equal(supervisor.requests.length, 1);
      assert.equal((await worker.until('listening')).own, undefined);
      assert.equal(await ask(port, options === UDP4 ? '127.0.0.1' : '::1', options), `hello to ${worker.process.pid}`);
    });
  });
}

const OWN_FORMS: readonly { options?: object; form: readonly unknown[]; own: boolean; needs?: number }[] = [
  { form: [{ port: 'PORT', exclusive: true }], own: true },
  { form: [{ port: 0, exclusive: true }], own: false },
  { options: { ...UDP4, reuseAddr: true }, form: [{ port: 'PORT', exclusive: true }], own: false },
  { options: { ...UDP4, reusePort: true }, form: ['PORT'], own: false, needs: 24 },
];

for (const { options = UDP4, form, own, needs = 0 } of OWN_FORMS) {
  const skip = (await nodeMajor()) < needs && `needs Node ${needs}`;
  test(
    `bind(${JSON.stringify(form).slice(1, -1)}) of ${JSON.stringify(options)} is the app's own, as in node:cluster`,
    { skip },
    async (t) => {
      const port = await freePort();
      await looksPlain(t, options, fill(form, port), async (worker, supervisor) => {
        assert.deepEqual(supervisor.requests, []);
        const told = worker.messages.filter((message) => message.t === 'listening');
        // A second worker could not have such an address beside this one, so a reload must know of it.
        assert.deepEqual(told, own ? [{ t: 'listening', listener: `udp://0.0.0.0:${port}`, own: true }] : []);
      });
    },
  );
}

test('bind(0) is one number for all workers in cluster mode, and nobody else’s business in fork mode', async (t) => {
  const cluster = await seen(t, UDP4, [0], { mode: 'cluster' });
  assert.deepEqual(
    cluster.supervisor.requests.map(({ port, host, datagram }) => ({ port, host, datagram })),
    [{ port: 0, host: '0.0.0.0', datagram: { reuseAddr: false } }],
  );
  const fork = await seen(t, UDP4, [0], { mode: 'fork' });
  assert.deepEqual(fork.supervisor.requests, []);
  assert.deepEqual(
    fork.worker.messages.filter(({ t: type }) => type === 'listening'),
    [],
  );
});

const FAILING: readonly { name: string; form: readonly unknown[]; occupied?: boolean }[] = [
  { name: 'a port in use', form: ['PORT'], occupied: true },
  { name: 'an address this machine has not', form: ['PORT', '192.0.2.1'] },
  { name: 'a host that does not exist', form: ['PORT', 'no-such-host.invalid'] },
];

for (const { name, form, occupied = false } of FAILING) {
  test(`${name} is the error it is in plain node`, async (t) => {
    const other = createSocket('udp4').bind(0);
    t.after(() => other.close());
    await once(other, 'listening');
    const port = occupied ? other.address().port : await freePort();
    await looksPlain(t, UDP4, fill(form, port), ({ messages }) =>
      assert.deepEqual(
        messages.filter(({ t: type }) => type === 'listening'),
        [],
      ),
    );
  });
}

for (const mode of ['fork', 'cluster'] as const) {
  test(`a refused port is EACCES as node shapes it, ${mode} mode`, async (t) => {
    const { told } = await seen(t, UDP4, [53], { mode }, () => ({ ok: false, code: 'EACCES', errno: -13, syscall: 'bind' }));
    const error = { code: 'EACCES', errno: -13, syscall: 'bind', address: '0.0.0.0', port: 53 };
    assert.deepEqual(told.at(-2), { message: 'bind EACCES 0.0.0.0:53', ...error });
  });

  test(`the same address twice in one worker: EADDRINUSE, unless it may be shared, ${mode} mode`, async (t) => {
    const env = { PORT: String(await freePort()), TWICE: '1' };
    const supervisor = FakeSupervisor.for(t);
    const twice = supervisor.spawn(fixture('worker/udp.cjs'), { mode, env });
    await twice.line(/error EADDRINUSE bind/);
    await twice.kill();
    const reuse = { ...env, PORT: String(await freePort()), REUSE: '1' };
    const shared = supervisor.spawn(fixture('worker/udp.cjs'), { mode, env: reuse });
    await shared.line(/bound again/);
  });

  test(`a socket that the app closes is told, and the address may be bound again, ${mode} mode`, async (t) => {
    const port = await freePort();
    const supervisor = FakeSupervisor.for(t);
    const first = supervisor.spawn(fixture('worker/udp.cjs'), { mode, env: { PORT: String(port) } });
    await first.line(/bound/);
    const client = await open(t);
    client.send('close', port, '127.0.0.1');
    const { listener } = await first.until('closed');
    assert.equal(listener, `udp://127.0.0.1:${port}`);
    await first.line(/closed/);
  });
}

test('what the supervisor will not lend is bound by the app itself, and told', async (t) => {
  const port = await freePort();
  const { worker } = await seen(t, UDP4, [port], {}, () => ({ ok: 'self' }));
  assert.deepEqual(await worker.until('listening'), { t: 'listening', listener: `udp://0.0.0.0:${port}`, own: true });
  assert.equal(await ask(port), `hello to ${worker.process.pid}`);
});

test('the port that a first send() takes is asked of nobody', async (t) => {
  const supervisor = FakeSupervisor.for(t);
  const other = await open(t);
  const script = `const s = require('node:dgram').createSocket('udp4'); s.send('hi', ${other.address().port}, '127.0.0.1', () => console.log('sent')); setInterval(() => {}, 1e3)`;
  const worker = supervisor.spawn('-e', { mode: 'cluster', args: [script] });
  await within(once(other, 'message'), 'what it sent');
  await worker.line(/sent/);
  assert.deepEqual(supervisor.requests, []);
  assert.deepEqual(
    worker.messages.filter(({ t: type }) => type === 'listening'),
    [],
  );
});

test('a thread is lent its socket too', async (t) => {
  const port = await freePort();
  const worker = FakeSupervisor.for(t).spawn(fixture('worker/udp.cjs'), { env: { PORT: String(port), THREAD: '1' } });
  assert.deepEqual(await worker.until('listening'), { t: 'listening', listener: `udp://127.0.0.1:${port}` });
  assert.equal(await ask(port), `hello to ${worker.process.pid}`);
});

test('a worker that leaves a socket to its successor reads no more of it, and answers what it has read', async (t) => {
  const { old, port, supervisor, answer } = await asked(t);
  old.drain({ stopAccepting: [(await old.until('listening')).listener] });
  await answersOf(supervisor, port);
  assert.equal(await answer, `first to ${old.process.pid}`);
  await old.until('drained');
});

test('a worker that drains on for its connections has let its datagram socket go by then', async (t) => {
  const { old, supervisor, port } = await asked(t, { HTTP: '1' });
  const { listener } = await old.until('listening', (message) => message.listener.startsWith('udp:'));
  const server = await old.until('listening', (message) => message.listener.startsWith('tcp:'));
  const request = get(server.listener.replace('tcp', 'http'), { agent: false });
  request.on('error', () => {}); // cut when the worker is killed
  await old.line(/requested/);
  old.drain({ stopAccepting: [listener] });
  supervisor.letGo();
  const isOpen = () => readFileSync('/proc/net/udp', 'utf8').includes(`0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`);
  const drainings = () => old.messages.filter(({ t: type }) => type === 'draining').length;
  for (let told = 0; isOpen(); told = drainings()) await old.until('draining', () => drainings() > told);
  assert.equal(
    old.messages.some(({ t: type }) => type === 'drained'),
    false,
  );
});

test('a worker whose slot leaves for good closes its socket once it is read empty, and answers through another slot’s', async (t) => {
  const { old, port, supervisor, answer } = await asked(t);
  old.drain();
  // Told every 250 ms: the second time its loop has turned often enough.
  const [first] = [await old.until('draining')];
  await old.until('draining', (message) => message !== first);
  assert.deepEqual(supervisor.requests.at(-1)?.datagram, { reuseAddr: false, answersOnly: true });
  await answersOf(supervisor, port);
  assert.equal(await answer, `first to ${old.process.pid}`);
  await old.until('drained');
});

test('a worker of a generation that is not live yet reads nothing, lives, and takes when it is told to', async (t) => {
  const port = await freePort();
  const supervisor = FakeSupervisor.for(t);
  const worker = supervisor.spawn(fixture('worker/udp.cjs'), { mode: 'cluster', env: { PORT: String(port) }, held: true });
  await worker.line(/bound/);
  const client = await open(t);
  client.send('early', port, '127.0.0.1');
  const thread = supervisor.spawn(fixture('worker/udp.cjs'), { env: { PORT: String(port), THREAD: '1' }, held: true });
  await thread.until('listening');
  // Whoever answers this socket is a third; the two would have taken what came before it.
  const other = supervisor.spawn(fixture('worker/udp.cjs'), { env: { PORT: String(port) } });
  const [data] = (await within(once(client, 'message'), 'an answer')) as [Buffer];
  assert.equal(data.toString(), `early to ${other.process.pid}`);
  await other.kill();
  worker.send({ t: 'take' });
  assert.equal(await ask(port), `hello to ${worker.process.pid}`);
  await worker.kill();
  thread.send({ t: 'take' });
  assert.equal(await ask(port), `hello to ${thread.process.pid}`);
});

test('a socket that nobody else has is read to the end of the drain, and then closed', async (t) => {
  const port = await freePort();
  const supervisor = FakeSupervisor.for(t);
  const worker = supervisor.spawn(fixture('worker/udp.cjs'), { mode: 'cluster', env: { PORT: String(port) } });
  await worker.until('listening');
  supervisor.letGo();
  supervisor.policy = () => ({ ok: 'self' });
  worker.drain();
  assert.equal(await ask(port), `hello to ${worker.process.pid}`);
  assert.equal(
    worker.messages.some(({ t: type }) => type === 'drained'),
    false,
  );
  await worker.until('drained');
  const rival = createSocket('udp4').bind(port, '127.0.0.1');
  t.after(() => rival.close());
  await within(once(rival, 'listening'), 'the address to be free');
});

test('a successor joins the groups that its predecessor was in; twice in one process is an error as ever', async (t) => {
  const supervisor = FakeSupervisor.for(t);
  const env = { PORT: String(await freePort()), JOIN: '239.255.1.2', TWICE: '1' };
  for (let i = 0; i < 2; i++) {
    const worker = supervisor.spawn(fixture('worker/udp.cjs'), { mode: 'cluster', env });
    await worker.line(/^joined\nnot joined EADDRINUSE$/m);
    await worker.kill();
  }
});

test('a socket that its worker connected to one peer serves everybody again under the next', async (t) => {
  const supervisor = FakeSupervisor.for(t);
  const port = await freePort();
  const peer = await open(t);
  const env = { PORT: String(port) };
  for (let i = 0; i < 2; i++) {
    const connected = supervisor.spawn(fixture('worker/udp.cjs'), { env: { ...env, CONNECT: String(peer.address().port) } });
    await connected.line(/connected/);
    peer.send('hello', port, '127.0.0.1');
    const [data] = (await within(once(peer, 'message'), 'an answer')) as [Buffer];
    assert.equal(data.toString(), `hello to ${connected.process.pid}`);
    await connected.kill();
  }
  const worker = supervisor.spawn(fixture('worker/udp.cjs'), { env });
  await worker.line(/bound/);
  assert.equal(await ask(port), `hello to ${worker.process.pid}`);
});

/** A worker that has read one datagram and works on its answer. */
async function asked(
  t: TestContext,
  env = {},
): Promise<{ old: Worker; port: number; supervisor: FakeSupervisor; answer: Promise<string> }> {
  const port = await freePort();
  const supervisor = FakeSupervisor.for(t);
  const old = supervisor.spawn(fixture('worker/udp.cjs'), { mode: 'cluster', env: { PORT: String(port), WORK_MS: '700', ...env } });
  await old.line(/bound/);
  const client = await open(t);
  const answer = within(once(client, 'message'), 'an answer').then(([data]) => String(data));
  client.send('first', port, '127.0.0.1');
  await old.line(/asked first/);
  return { old, port, supervisor, answer };
}

/** A worker on the same held socket answers everybody. */
async function answersOf(supervisor: FakeSupervisor, port: number): Promise<void> {
  const fresh = supervisor.spawn(fixture('worker/udp.cjs'), { mode: 'cluster', env: { PORT: String(port) } });
  await fresh.line(/bound/);
  for (let i = 0; i < 20; i++) assert.equal(await ask(port), `hello to ${fresh.process.pid}`);
}

/** The same bind() in plain node, in fork mode and in cluster mode. */
async function looksPlain(
  t: TestContext,
  options: object,
  form: readonly unknown[],
  check: (worker: Worker, supervisor: FakeSupervisor) => void | Promise<void>,
): Promise<void> {
  const plain = await seen(t, options, form, { preload: 'none' });
  await plain.supervisor.close();
  for (const mode of ['fork', 'cluster'] as const) {
    const { told, worker, supervisor } = await seen(t, options, form, { mode });
    assert.deepEqual(told, plain.told, `in ${mode} mode`);
    await check(worker, supervisor);
    await supervisor.close();
  }
}

/** What an app sees of bind(...form), with ports that only the kernel chose made equal. */
async function seen(t: TestContext, options: object, form: readonly unknown[], how: WorkerOptions, policy: LendPolicy = () => 'lend') {
  const supervisor = FakeSupervisor.for(t);
  supervisor.policy = policy;
  const worker = supervisor.spawn(fixture('worker/tells-of-bind.cjs'), { ...how, args: [JSON.stringify(options), JSON.stringify(form)] });
  const [, line = ''] = await worker.line(/^seen (.*)$/m);
  assert.equal(worker.stderr, '');
  const isAnyPort = form[0] === 0 || JSON.stringify(form).includes('"port":0');
  const text = isAnyPort ? line.replace(/"port":\d+/g, '"port":"any"') : line;
  return { told: JSON.parse(text) as Record<string, unknown>[], worker, supervisor };
}

async function ask(port: number, host = '127.0.0.1', options: object = UDP4): Promise<string> {
  const type = 'type' in options && options.type === 'udp6' ? 'udp6' : 'udp4';
  const socket = createSocket(type);
  socket.send('hello', port, type === 'udp6' ? host : '127.0.0.1');
  const [data] = (await within(once(socket, 'message'), 'an answer')) as [Buffer];
  socket.close();
  return data.toString();
}

async function open(t: TestContext): Promise<Socket> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  t.after(() => socket.close());
  await once(socket, 'listening');
  return socket;
}

function fill(form: readonly unknown[], port: number): unknown[] {
  return JSON.parse(JSON.stringify(form).replaceAll('"\\"PORT\\""', `"${port}"`).replaceAll('"PORT"', String(port))) as unknown[];
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp6').bind(0);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

async function nodeMajor(): Promise<number> {
  const { execFileSync } = await import('node:child_process');
  return Number(/^v(\d+)/.exec(execFileSync(node, ['--version'], { encoding: 'utf8' }))?.[1]);
}
