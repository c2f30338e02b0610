/** The control socket against clients that do not read, or are too many: what waits for them is bounded, and they keep nobody from ending. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { ControlConnection } from '../../../supervisor/control/connection.ts';
import { ControlServer } from '../../../supervisor/control/server.ts';
import { LineSplitter, RPC_LINE_BYTES_MAX } from '../../../supervisor/protocol/rpc.ts';
import type { SupervisorCore } from '../../../supervisor/supervisor.ts';
import { eventually, within } from '../../promises/eventually.ts';
import { coreIn } from '../core.ts';

const QUIET = { onChange: () => undefined, onEnd: () => undefined };

/** Both ends of one conversation. */
async function conversation(t: TestContext, core: SupervisorCore): Promise<{ client: Socket; served: Socket }> {
  const server = createServer();
  await once(server.listen(core.env.paths.control), 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect(core.env.paths.control);
  const [served] = await accepted;
  t.after(() => (client.destroy(), served.destroy(), server.close()));
  return { client, served };
}

test('a client that asks and does not read is not read from, and has every answer once it reads', async (t) => {
  const questions = 100_000; // each answered with an error of some 300 bytes
  const core = coreIn(t);
  const { client, served } = await conversation(t, core);
  new ControlConnection(core, served, QUIET).begin();
  let unreadMax = 0;
  served.on('data', () => (unreadMax = Math.max(unreadMax, served.writableLength)));
  client.pause();
  const text = '{"jsonrpc":1}\n'.repeat(questions);
  client.write(text);
  await eventually('the reading to stop', () => served.isPaused() || served.bytesRead === text.length);
  let answers = 0;
  client.setEncoding('utf8').on('data', (piece: string) => (answers += piece.split('\n').length - 1));
  client.resume();
  await eventually('every answer', () => answers === questions);
  assert.ok(unreadMax < 8 * 1_048_576, `${unreadMax} bytes waited for a client that did not read`);
});

test('a client that does not read what it asked for does not keep the server from closing', async (t) => {
  const core = coreIn(t);
  const server = new ControlServer(core);
  await server.listen();
  const client = connect(core.env.paths.control).on('error', () => undefined);
  t.after(() => client.destroy());
  client.pause();
  for (let i = 0; i < 4_000; i++) core.events.announce({ type: 'supervisor.started', version: 'x'.repeat(1_000), pid: i });
  client.write('{"jsonrpc":"2.0","id":1,"method":"events","params":{"last":4000,"follow":true}}\n');
  await once(client, 'connect');
  await eventually('an answer', () => core.events.listenerCount('event') > 0);
  await within('the server to close', server.close(), 5_000);
});

test('a client that is refused and stays does not keep the server from closing', async (t) => {
  const core = coreIn(t, { uid: process.getuid!() + 1 });
  const server = new ControlServer(core);
  await server.listen();
  const client = connect({ path: core.env.paths.control, allowHalfOpen: true }).on('error', () => undefined);
  t.after(() => client.destroy());
  client.write('{"jsonrpc":"2.0","id":1,"method":"ping"}\n');
  await once(client, 'readable');
  await within('the server to close', server.close(), 5_000);
});

test('a request or a client too many is refused with a code of its own, and what to do; the others go on', async (t) => {
  const core = coreIn(t);
  const server = new ControlServer(core);
  await server.listen();
  const clients = Array.from({ length: 257 }, () => connect(core.env.paths.control).setEncoding('utf8'));
  t.after(async () => {
    for (const client of clients) client.destroy();
    await server.close();
  });
  const [first, last] = [clients[0]!, clients[256]!];
  const [refusal] = (await once(last, 'data')) as [string];
  assert.match(refusal, /at most 256 clients.*End some.*"COVET_ERR_CONTROL_CLIENTS"/);
  let answers = '';
  first.on('data', (piece: string) => (answers += piece));
  for (let id = 1; id <= 65; id++) first.write(`{"jsonrpc":"2.0","id":${id},"method":"events","params":{"last":0,"follow":true}}\n`);
  await eventually('65 answers', () => answers.split('\n').length === 66);
  const failed = answers.split('\n').filter((line) => line.includes('"error"'));
  assert.equal(failed.length, 1);
  assert.match(failed[0]!, /"id":65.*64.*connect again.*"COVET_ERR_CONTROL_REQUESTS"/);
});

test('more of the last lines than may wait are all told to a client that reads slowly', async (t) => {
  const core = coreIn(t, { apps: ['web'] });
  const { out } = core.logs.files('web');
  const count = 40_000;
  writeFileSync(out, Array.from({ length: count }, (_, i) => `${i} ${'x'.repeat(200)}\n`).join(''));
  const { client, served } = await conversation(t, core);
  new ControlConnection(core, served, QUIET).begin();
  client.pause();
  client.write('{"jsonrpc":"2.0","id":1,"method":"logs","params":{"app":"web","streams":"out","lines":40000,"follow":false}}\n');
  await eventually('the client to be far behind', () => served.writableLength > 1_000_000);
  let text = '';
  client.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  client.resume();
  const last = await eventually('the end', () => /\{[^\n]*"end":true[^\n]*\}/.exec(text)?.[0]);
  assert.deepEqual([JSON.parse(last).params.dropped, text.split('"line"').length - 1], [0, count]);
});

test('a follower that did not read is told how many are missing where they are missing, and goes on', async (t) => {
  const core = coreIn(t);
  const { client, served } = await conversation(t, core);
  new ControlConnection(core, served, QUIET).begin();
  client.pause();
  client.write('{"jsonrpc":"2.0","id":1,"method":"events","params":{"last":0,"follow":true}}\n');
  await eventually('the subscription', () => core.events.listenerCount('event') > 0);
  const announce = (count: number): void => {
    for (let i = 0; i < count; i++) core.events.announce({ type: 'supervisor.started', version: 'x'.repeat(200), pid: 1 });
  };
  const frames: { readonly method?: string; readonly params?: { readonly dropped?: number; readonly item?: { readonly seq: number } } }[] =
    [];
  const lines = new LineSplitter(RPC_LINE_BYTES_MAX);
  client.on('data', (piece: Buffer) => frames.push(...lines.push(piece).map((line) => JSON.parse(line))));
  const lastSeq = (): number => frames.at(-1)?.params?.item?.seq ?? 0;

  announce(30_000);
  client.resume();
  await eventually('the last event', () => lastSeq() === 30_000);
  announce(1);
  await eventually('one more', () => lastSeq() === 30_001);
  client.pause();
  announce(30_000);
  client.resume();
  await eventually('the last event again', () => lastSeq() === 60_001);

  let [next, dropped, notices] = [1, 0, 0];
  for (const { method, params } of frames.slice(1)) {
    if (method === 'dropped') {
      assert.ok(params!.dropped! > dropped, 'a notice without a loss');
      next += params!.dropped! - dropped;
      dropped = params!.dropped!;
      notices++;
    } else {
      assert.equal(params?.item?.seq, next++);
    }
  }
  assert.ok(notices >= 2 && dropped > 10_000, `${notices} notices of ${dropped} events`);
});
