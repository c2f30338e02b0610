/**
 * listen() under the preload is listen() under plain node, in every form: what returns, what is emitted and when, address(), errors.
 * Each form runs twice, with and without the preload, and must look the same to the app; with it, the socket is a lent one.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { get as getSecure } from 'node:https';
import { connect as connectHttp2 } from 'node:http2';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { FakeSupervisor, fixture, within, type LendPolicy, type Worker, type WorkerOptions } from './harness.ts';

const folder = mkdtempSync(join(tmpdir(), 'covet-listen-'));
test.after(() => rmSync(folder, { recursive: true }));

/** PORT and PATH stand for free ones. */
const LENT_FORMS: readonly (readonly unknown[])[] = [
  ['PORT'],
  ['"PORT"'],
  ['PORT', 100],
  ['PORT', '127.0.0.1'],
  ['PORT', '127.0.0.1', 100],
  ['PORT', '::1'],
  ['PORT', '::'],
  ['PORT', '0.0.0.0'],
  ['PORT', 'localhost'],
  ['PORT', ''],
  [{ port: 'PORT' }],
  [{ port: '"PORT"', host: '127.0.0.1', backlog: 10 }],
  [{ port: 'PORT', ipv6Only: true }],
  [{ port: 'PORT', host: '::', ipv6Only: true }],
  [{ port: 'PORT', exclusive: true }],
  [{ port: 'PORT', reusePort: true }],
  [],
  [null],
  [0],
  [{ port: 0, host: '127.0.0.1' }],
  ['PATH'],
  ['PATH', 20],
  [{ path: 'PATH' }],
  [{ path: 'PATH', readableAll: true, writableAll: true }],
];

for (const form of LENT_FORMS) {
  test(`listen(${JSON.stringify(form).slice(1, -1)}) looks as in plain node`, async (t) => {
    await looksPlain(t, 'http', await fill(form), async (worker, supervisor) => {
      assert.equal(supervisor.requests.length, 1);
      assert.equal((await worker.until('listening')).own, undefined);
    });
  });
}

for (const kind of ['net', 'http', 'https', 'http2', 'http2secure']) {
  test(`a ${kind} server is lent its socket and answers on it`, async (t) => {
    await looksPlain(t, kind, await fill(['PORT']), async (worker) => {
      assert.equal(await ask(kind, await worker.port()), `served by ${worker.process.pid}`);
    });
  });
}

for (const app of ['express.cjs', 'fastify.mjs', 'http.mjs', 'ws-echo.cjs']) {
  test(`${app} is lent its socket and answers on it`, async (t) => {
    const worker = FakeSupervisor.for(t).spawn(fixture(`apps/${app}`), { env: { PORT: String(await freePort()) }, mode: 'cluster' });
    const answer = await ask('http', await worker.port());
    assert.equal((JSON.parse(answer) as { pid: number }).pid, worker.process.pid);
    assert.equal(worker.stderr, '');
  });
}

test('a TLS session of one worker is resumed by another', async (t) => {
  const supervisor = FakeSupervisor.for(t);
  const options = { args: ['https', '["0"]'] };
  const first = supervisor.spawn(fixture('worker/tells-of-listen.cjs'), options);
  const second = supervisor.spawn(fixture('worker/tells-of-listen.cjs'), options);
  const session = await tlsSession(await first.port());
  assert.equal((await tlsSession(await second.port(), session.ticket)).isReused, true);
});

const FAILING: readonly { name: string; kind: string; form: readonly unknown[]; occupied?: boolean }[] = [
  { name: 'a port in use', kind: 'http', form: ['PORT'], occupied: true },
  { name: 'a port in use on a host', kind: 'net', form: ['PORT', '127.0.0.1'], occupied: true },
  { name: 'a path in use', kind: 'http', form: ['OCCUPIED'] },
  { name: 'an address this machine has not', kind: 'http', form: ['PORT', '192.0.2.1'] },
  { name: 'a host that does not exist', kind: 'http', form: ['PORT', 'no-such-host.invalid'] },
  { name: 'a folder that does not exist', kind: 'net', form: ['/no/such/folder/socket'] },
  { name: 'a port beyond 65535', kind: 'http', form: [65_536] },
  { name: 'no port and no path', kind: 'http', form: [{}] },
  { name: 'a port that is none', kind: 'http', form: [true] },
];

for (const { name, kind, form, occupied = false } of FAILING) {
  test(`${name} is the error it is in plain node`, async (t) => {
    const server = createServer().listen(occupied ? 0 : join(folder, `occupied-${name.length}`));
    await once(server, 'listening');
    const address = server.address();
    const port = occupied ? (address as AddressInfo).port : await freePort();
    const filled = JSON.parse(
      JSON.stringify(form).replaceAll('"PORT"', String(port)).replace('OCCUPIED', JSON.stringify(address).slice(1, -1)),
    ) as unknown[];
    await looksPlain(t, kind, filled, ({ messages }) => assert.equal(messages.filter(({ t: type }) => type === 'listening').length, 0));
    server.close();
  });
}

test('a refused port is EACCES as node shapes it', async (t) => {
  const { told } = await seen(t, 'http', [80], {}, () => ({ ok: false, code: 'EACCES', errno: -13, syscall: 'bind' }));
  assert.deepEqual(told.at(-2), {
    message: 'listen EACCES: permission denied 0.0.0.0:80',
    code: 'EACCES',
    errno: -13,
    syscall: 'listen',
    address: '0.0.0.0',
    port: 80,
  });
});

test('what the supervisor will not lend is bound by the app itself, and told', async (t) => {
  const port = await freePort();
  const { told, worker } = await seen(t, 'http', [port], {}, () => ({ ok: 'self' }));
  assert.deepEqual(await worker.until('listening'), { t: 'listening', listener: `tcp://[::]:${port}`, own: true });
  assert.equal(told.at(-2)?.['what'], 'callback');
  assert.equal(await ask('http', port), `served by ${worker.process.pid}`);
});

test('with lend off nothing is asked', async (t) => {
  const port = await freePort();
  const { worker, supervisor } = await seen(t, 'http', [port], { lend: false });
  assert.deepEqual(await worker.until('listening'), { t: 'listening', listener: `tcp://[::]:${port}`, own: true });
  assert.deepEqual(supervisor.requests, []);
});

test('a supervisor that dies with the request in hand is asked again', async (t) => {
  let dropped = 0;
  const { worker, supervisor } = await seen(t, 'http', [await freePort()], {}, () => (dropped++ === 0 ? 'drop' : 'lend'));
  assert.equal((await worker.until('listening')).own, undefined);
  assert.equal(supervisor.requests.length, 2);
});

test('a supervisor that never answers is ETIMEDOUT after ten seconds', async (t) => {
  const { told } = await seen(t, 'http', [await freePort()], {}, () => 'hang');
  assert.equal((told.at(-2) as { code?: string }).code, 'ETIMEDOUT');
});

test('listen, close, listen again: each is told, each answers', async (t) => {
  const worker = FakeSupervisor.for(t).spawn(fixture('apps/closes-and-relistens.cjs'), { env: { PORT: String(await freePort()) } });
  const port = await worker.port();
  for (let i = 0; i < 3; i++) assert.match(await ask('http', port, '/relisten'), /"pid"/);
  assert.deepEqual(
    worker.messages.filter(({ t: type }) => type === 'listening' || type === 'closed').map(({ t: type }) => type),
    ['listening', 'closed', 'listening', 'closed', 'listening', 'closed', 'listening'],
  );
});

for (const mode of ['fork', 'cluster'] as const) {
  test(`two servers on one port in one process: EADDRINUSE, ${mode} mode`, async (t) => {
    const supervisor = FakeSupervisor.for(t);
    const env = { PORT: String(await freePort()) };
    const alone = supervisor.spawn(fixture('worker/two-on-one-port.cjs'), { preload: 'none', env });
    const plain = await alone.line(/second (.*)\n/);
    await alone.kill();
    const lent = await supervisor.spawn(fixture('worker/two-on-one-port.cjs'), { mode, env }).line(/second (.*)\n/);
    assert.equal(lent[1], plain[1]);
    assert.match(lent[1] ?? '', /EADDRINUSE/);
  });
}

test('listen on a descriptor, on a handle and with an AbortSignal are as in plain node', async (t) => {
  const supervisor = FakeSupervisor.for(t);
  const plain = await supervisor.spawn(fixture('worker/other-listens.cjs'), { preload: 'none' }).line(/told (.*)\n/);
  const worker = supervisor.spawn(fixture('worker/other-listens.cjs'));
  assert.equal((await worker.line(/told (.*)\n/))[1], plain[1]);
});

test('a worker thread is lent its socket too, and it is told', async (t) => {
  const worker = FakeSupervisor.for(t).spawn(fixture('worker/listens-in-thread.cjs'), { env: { PORT: String(await freePort()) } });
  const port = await worker.port();
  assert.equal(await ask('http', port), `thread of ${worker.process.pid}`);
  assert.equal((await worker.until('listening')).own, undefined);
  await ask('http', port, '/exit').catch(() => {});
  await worker.until('closed');
});

/** The same listen() in plain node, in fork mode and in cluster mode. */
async function looksPlain(
  t: TestContext,
  kind: string,
  form: readonly unknown[],
  check: (worker: Worker, supervisor: FakeSupervisor) => void | Promise<void>,
): Promise<void> {
  const plain = await seen(t, kind, form, { preload: 'none' });
  await plain.supervisor.close();
  for (const mode of ['fork', 'cluster'] as const) {
    removePaths(form);
    const { told, worker, supervisor } = await seen(t, kind, form, { mode });
    assert.deepEqual(told, plain.told, `in ${mode} mode`);
    await check(worker, supervisor);
    await supervisor.close();
  }
}

function removePaths(form: readonly unknown[]): void {
  for (const [path] of JSON.stringify(form).matchAll(/[^"]*\/socket-\d+/g)) rmSync(path, { force: true });
}

/** What an app sees of listen(...form), with ports that only the kernel chose made equal. */
async function seen(t: TestContext, kind: string, form: readonly unknown[], options: WorkerOptions, policy: LendPolicy = () => 'lend') {
  const supervisor = FakeSupervisor.for(t);
  supervisor.policy = policy;
  const worker = supervisor.spawn(fixture('worker/tells-of-listen.cjs'), { ...options, args: [kind, JSON.stringify(form)] });
  const line = await worker.line(/^seen (.*)$/m);
  const isAnyPort = !/[1-9]\d|[a-z]\//.test(JSON.stringify(form).replaceAll('127.0.0.1', ''));
  const text = isAnyPort ? (line[1] ?? '').replace(/"port":\d+/g, '"port":"any"') : (line[1] ?? '');
  assert.equal(worker.stderr, '');
  return { told: JSON.parse(text) as Record<string, unknown>[], worker, supervisor };
}

async function fill(form: readonly unknown[]): Promise<unknown[]> {
  const port = String(await freePort());
  const text = JSON.stringify(form).replaceAll('"\\"PORT\\""', `"${port}"`).replaceAll('"PORT"', port);
  return JSON.parse(text.replaceAll('PATH', join(folder, `socket-${port}`))) as unknown[];
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function ask(kind: string, port: number, path = '/'): Promise<string> {
  return within(kind === 'net' ? askRaw(port) : kind === 'http2' ? askHttp2(port) : askHttp(kind, port, path), `an answer of ${kind}`);
}

async function askHttp(kind: string, port: number, path: string): Promise<string> {
  const request = kind === 'http' ? get({ port, path, agent: false }) : getSecure({ port, path, agent: false, rejectUnauthorized: false });
  const [response] = (await once(request, 'response')) as [AsyncIterable<Buffer>];
  return collect(response);
}

async function askRaw(port: number): Promise<string> {
  return collect(connect({ port }));
}

async function askHttp2(port: number): Promise<string> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  const text = await collect(session.request({ ':path': '/' }));
  session.close();
  return text;
}

async function collect(stream: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

async function tlsSession(port: number, session?: Buffer): Promise<{ ticket: Buffer; isReused: boolean }> {
  const { connect: connectSecure } = await import('node:tls');
  const socket = connectSecure({ port, rejectUnauthorized: false, ...(session === undefined ? {} : { session }) });
  const ticket = session ?? ((await within(once(socket, 'session'), 'a session')) as [Buffer])[0];
  if (session !== undefined) await within(once(socket, 'secureConnect'), 'a handshake');
  const isReused = socket.isSessionReused();
  socket.destroy();
  return { ticket, isReused };
}
