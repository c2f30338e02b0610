import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { connect } from '../../dashboard/client.ts';
import { CovetError, type ErrorCode } from '../../supervisor/protocol/errors.ts';
import { SUBSCRIPTION_ITEMS_MAX } from '../../supervisor/protocol/rpc.ts';
import { FakeSupervisor, PING, type Peer } from './fake-supervisor.ts';
import { rejection } from './rejection.ts';
import { app, list } from './views.ts';

async function pair(t: TestContext, answers: Record<string, (peer: Peer) => void> = {}) {
  const server = await FakeSupervisor.listen(answers);
  t.after(() => server.close());
  const client = await connect({ home: server.home });
  t.after(() => client.close());
  return { server, client };
}

function coded(code: ErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof CovetError && error.code === code;
}

test('every operation is a method, with its input on the wire', async (t) => {
  const { server, client } = await pair(t, {
    list: (peer) => peer.answer(list(app())),
    scale: (peer) => peer.answer({ apiVersion: 1, app: app({ wanted: 4 }) }),
  });
  assert.equal((await client.list()).apps[0]?.name, 'web');
  assert.equal((await client.scale({ app: 'web', instances: 4 })).app.wanted, 4);
  assert.deepEqual((await server.received('scale')).params, { app: 'web', instances: 4 });
});

test("a start without an environment gives this program's", async (t) => {
  const { server, client } = await pair(t, { start: (peer) => peer.answer({ apiVersion: 1, app: app() }) });
  const config = { name: 'web', script: 'app.js', cwd: '/srv' };
  await client.start({ config });
  assert.deepEqual((await server.received('start')).params, { config, env: { ...process.env } });
});

test('a refusal keeps its code, details and what the operation still shows', async (t) => {
  const { client } = await pair(t, { stop: (peer) => peer.refuse('COVET_ERR_APP_UNKNOWN', { app: 'wbe', near: '' }, { hint: 1 }) });
  const error = await rejection(client.stop({ app: 'wbe' }));
  assert.equal(error.message, 'No app named `wbe`. `covet-pm list` shows them.');
  assert.equal(error.exitCode, 1);
  assert.deepEqual((error.cause as { data: { result: unknown } }).data.result, { hint: 1 });
});

test('a code of a newer supervisor is told in its own words', async (t) => {
  const { client } = await pair(t, { stop: (peer) => peer.refuse('COVET_ERR_FROM_THE_FUTURE') });
  await assert.rejects(client.stop({ app: 'web' }), /COVET_ERR_FROM_THE_FUTURE/);
});

test('progress reaches the call it belongs to', async (t) => {
  const { client } = await pair(t, {
    reload: (peer) => {
      peer.notify('progress', { id: peer.request.id, text: '1 of 2 ready' });
      peer.notify('progress', { id: 999, text: "another's" });
      peer.answer({});
    },
  });
  const said: string[] = [];
  await client.reload({ app: 'web' }, { onProgress: (text) => said.push(text) });
  assert.deepEqual(said, ['1 of 2 ready']);
});

test('the end of the connection rejects what waits and what comes after', async (t) => {
  const { client } = await pair(t, { list: (peer) => peer.socket.destroy() });
  await assert.rejects(client.list(), coded('COVET_ERR_CONTROL_LOST'));
  await client.ended();
  await assert.rejects(client.list(), coded('COVET_ERR_CONTROL_LOST'));
});

test('half an answer and a line that is not JSON end the connection, not the program', async (t) => {
  const { client } = await pair(t, { list: (peer) => peer.socket.end('{"jsonrpc"'), kill: (peer) => peer.socket.write('nonsense\n') });
  await assert.rejects(client.kill(), coded('COVET_ERR_CONTROL_LOST'));
});

test('an answer in pieces, and two in one, are understood', async (t) => {
  const { client } = await pair(t, {
    list: ({ socket, request }) => {
      const text = `${JSON.stringify({ jsonrpc: '2.0', id: request.id, result: list() })}\n`;
      socket.write(text.slice(0, 10));
      setImmediate(() => socket.write(text.slice(10)));
    },
    doctor: ({ socket, request }) => {
      const answer = (id: number) => `${JSON.stringify({ jsonrpc: '2.0', id, result: { apiVersion: 1, findings: [] } })}\n`;
      if (request.id === 4) socket.write(answer(3) + answer(4));
    },
  });
  assert.equal((await client.list()).apiVersion, 1);
  await Promise.all([client.doctor(), client.doctor()]);
});

test('a deadline gives up with its own code, and the late answer is nobody’s', async (t) => {
  const { client } = await pair(t, { stop: () => undefined, list: (peer) => peer.answer(list()) });
  const error = await rejection(client.stop({ app: 'web' }, { deadlineMs: 20 }));
  assert.equal(error.exitCode, 124);
  assert.equal((await client.list()).apiVersion, 1);
});

test('an aborted call rejects with the reason of its signal', async (t) => {
  const { server, client } = await pair(t, { stop: () => undefined });
  const abort = new AbortController();
  const stopping = client.stop({ app: 'web' }, { signal: abort.signal });
  await server.received('stop');
  abort.abort(new Error('enough'));
  await assert.rejects(stopping, /enough/);
});

test('items that come with the answer are not missed', async (t) => {
  const { client } = await pair(t, {
    logs: (peer) => {
      peer.answer({ subscription: 5 });
      for (const line of ['one', 'two']) peer.notify('item', { subscription: 5, item: { app: 'web', stream: 'out', line } });
      peer.notify('item', { subscription: 5, end: true, dropped: 3 });
    },
  });
  const logs = client.logs({ app: 'web' });
  const lines: string[] = [];
  for await (const { line } of logs) lines.push(line);
  assert.deepEqual(lines, ['one', 'two']);
  assert.equal(logs.dropped, 3);
});

test('what the supervisor left out is counted when it says so, and once', async (t) => {
  let end = (): void => undefined;
  const { client } = await pair(t, {
    logs: (peer) => {
      peer.answer({ subscription: 5 });
      const item = (line: string): void => peer.notify('item', { subscription: 5, item: { app: 'web', stream: 'out', line } });
      item('one');
      peer.notify('dropped', { subscription: 5, dropped: 3 });
      item('five');
      end = () => peer.notify('item', { subscription: 5, end: true, dropped: 4 });
    },
  });
  const logs = client.logs({ app: 'web', follow: true });
  assert.deepEqual([(await logs.next()).value?.line, (await logs.next()).value?.line], ['one', 'five']);
  assert.equal(logs.dropped, 3);
  end();
  assert.equal((await logs.next()).done, true);
  assert.equal(logs.dropped, 4);
});

test('leaving the loop unsubscribes', async (t) => {
  const { server, client } = await pair(t, {
    events: (peer) => {
      peer.answer({ subscription: 7 });
      peer.notify('item', { subscription: 7, item: { type: 'app.degraded' } });
    },
  });
  for await (const event of client.events({ follow: true })) {
    assert.equal(event.type, 'app.degraded');
    break;
  }
  assert.deepEqual((await server.received('unsubscribe')).params, { subscription: 7 });
});

test('a slow reader loses the oldest items, counted', async (t) => {
  const { client } = await pair(t, {
    logs: (peer) => {
      peer.answer({ subscription: 1 });
      for (let i = 0; i < SUBSCRIPTION_ITEMS_MAX + 5; i++)
        peer.notify('item', { subscription: 1, item: { app: 'web', stream: 'out', line: String(i) } });
    },
    list: (peer) => peer.answer(list()),
  });
  const logs = client.logs();
  await client.list();
  assert.equal((await logs.next()).value?.line, '5');
  assert.equal(logs.dropped, 5);
});

test('a refused subscription throws at its first item; one that loses its supervisor, too', async (t) => {
  const { client } = await pair(t, {
    logs: (peer) => {
      peer.answer({ subscription: 1 });
      peer.refuse('COVET_ERR_APP_UNKNOWN', { app: 'wbe', near: '' });
    },
    events: (peer) => {
      peer.answer({ subscription: 2 });
      peer.socket.end();
    },
  });
  await assert.rejects(client.logs({ app: 'wbe' }).next(), coded('COVET_ERR_APP_UNKNOWN'));
  await assert.rejects(client.events({ follow: true }).next(), coded('COVET_ERR_CONTROL_LOST'));
});

test('no socket, and a socket nobody listens on, mean that there is no supervisor', async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'covet-none-'));
  t.after(() => rmSync(home, { recursive: true }));
  await assert.rejects(connect({ home }), coded('COVET_ERR_SUPERVISOR_ABSENT'));
  await assert.rejects(connect({ home: join(home, 'x'.repeat(100)) }), coded('COVET_ERR_HOME_PATH'));
});

test('a supervisor without a protocol version in common is refused', async (t) => {
  const server = await FakeSupervisor.listen({ ping: (peer) => peer.answer({ ...PING, control: { min: 7, max: 9 } }) });
  t.after(() => server.close());
  const error = await rejection(connect({ home: server.home }));
  assert.equal(error.code, 'COVET_ERR_SUPERVISOR_VERSION');
  assert.deepEqual(error.details, { ours: '1', theirs: '7 to 9' });
});
