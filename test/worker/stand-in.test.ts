/**
 * Standing in: a worker accepts from the socket of a slot without one, as its own server's, until it is told otherwise, the app closes
 * the server, or it drains. What comes afterwards waits on the socket: nothing is refused, and nothing reset.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:http';
import { connect, createServer, type AddressInfo } from 'node:net';
import test, { type TestContext } from 'node:test';
import { native } from '../../native/index.ts';
import { handleOf } from '../../worker/node-internals.ts';
import { FakeSupervisor, fixture, within, type Worker } from './harness.ts';

const BACKLOG = 16;
const SLOT = 1;

test('a server answers on the socket of another slot too, and knows its connections', async (t) => {
  const { worker, port } = await standIn(t, 'closes-on-request.cjs');
  assert.equal(await ask(port), `1 of ${worker.process.pid}`);
});

test('a server in a thread does so too', async (t) => {
  const { worker, port } = await standIn(t, 'listens-in-thread.cjs');
  assert.equal(await ask(port), `thread of ${worker.process.pid}`);
});

test('told again, nothing changes; told to stand down, it accepts no more and the slot’s own worker does', async (t) => {
  const { worker, port, listener, fd, supervisor } = await standIn(t, 'closes-on-request.cjs');
  tell(worker, listener, fd);
  assert.match(await ask(port), new RegExp(`of ${worker.process.pid}$`));
  worker.sendPeer({ t: 'standDown', listener, slot: SLOT, half: 0, backlog: BACKLOG });
  await assertNobodyAccepts(worker, { fd, port });
  const successor = supervisor.spawn(fixture('worker/closes-on-request.cjs'), { slot: 2, env: { PORT: '0' } });
  tell(successor, (await successor.until('listening')).listener, fd);
  assert.match(await ask(port), new RegExp(`of ${successor.process.pid}$`));
});

test('an app that ends once its server is closed does so', async (t) => {
  const { worker, port } = await standIn(t, 'closes-on-request.cjs');
  await ask(port, '/close');
  assert.deepEqual(await worker.ended, { code: 0, signal: null });
});

test('it ends when the app closes its server', async (t) => {
  const { worker, port, fd } = await standIn(t, 'closes-on-request.cjs', { STAYS: '1' });
  await ask(port, '/close');
  await worker.until('closed');
  await assertNobodyAccepts(worker, { fd, port });
});

test('it ends with a drain, and a worker that drains does not begin', async (t) => {
  const { worker, port, listener, fd } = await standIn(t, 'closes-on-request.cjs');
  await ask(port);
  worker.drain({ stopAccepting: [listener] });
  await worker.until('drained');
  await assertNobodyAccepts(worker, { fd, port });
  tell(worker, listener, fd);
  await assertNobodyAccepts(worker, { fd, port });
});

test('it ends with a drain of which the supervisor, who may be a later one, says nothing of this socket', async (t) => {
  const { worker, port, fd } = await standIn(t, 'closes-on-request.cjs');
  await ask(port);
  worker.drain();
  await worker.until('drained');
  await assertNobodyAccepts(worker, { fd, port });
});

interface StandingIn {
  readonly supervisor: FakeSupervisor;
  readonly worker: Worker;
  /** Of its own server. */
  readonly listener: string;
  /** The other slot's socket, which nobody but this test holds. */
  readonly fd: number;
  readonly port: number;
}

async function standIn(t: TestContext, script: string, env: Record<string, string> = {}): Promise<StandingIn> {
  const { fd, port } = await listeningSocket(t);
  const supervisor = FakeSupervisor.for(t);
  const worker = supervisor.spawn(fixture(`worker/${script}`), { env: { PORT: '0', ...env } });
  const { listener } = await worker.until('listening');
  tell(worker, listener, fd);
  return { supervisor, worker, listener, fd, port };
}

function tell(worker: Worker, listener: string, fd: number): void {
  worker.sendPeer({ t: 'standIn', listener, slot: SLOT, half: 0, backlog: BACKLOG }, fd);
}

/** As covet-init makes one: it outlives whoever accepts from it. */
async function listeningSocket(t: TestContext): Promise<{ fd: number; port: number }> {
  const server = createServer().listen({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const fd = native().duplicate(handleOf(server)!.fd);
  t.after(() => native().closeFd(fd));
  server.close();
  return { fd, port };
}

async function ask(port: number, path = '/'): Promise<string> {
  const request = get({ host: '127.0.0.1', port, path, agent: false });
  const [response] = (await within(once(request, 'response'), `an answer on ${port}`)) as [AsyncIterable<Buffer>];
  let body = '';
  for await (const chunk of response) body += chunk.toString();
  return body;
}

/** A connection is made and waits, however often the worker looks. */
async function assertNobodyAccepts(worker: Worker, { fd, port }: { fd: number; port: number }): Promise<void> {
  await looksTwice(worker);
  const before = native().queueState(fd).depth;
  const client = connect({ host: '127.0.0.1', port });
  await within(once(client, 'connect'), 'a connection');
  await looksTwice(worker);
  assert.equal(native().queueState(fd).depth, before + 1);
  client.destroy();
}

/** Whatever had arrived before is read: an answer comes from a later turn of its loop. */
async function looksTwice(worker: Worker): Promise<void> {
  const hellos = () => worker.messages.filter(({ t }) => t === 'hello').length;
  for (let looks = 0; looks < 2; looks++) {
    const before = hellos();
    worker.send({ t: 'hello', min: 1, max: 1 });
    await worker.until('hello', () => hellos() > before);
  }
}
