/** The control socket against clients that do not read: what waits for them is bounded, and they keep nobody from ending. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ControlConnection } from '../../../supervisor/control/connection.ts';
import { ControlServer } from '../../../supervisor/control/server.ts';
import { realEnv } from '../../../supervisor/env.ts';
import { EventLog } from '../../../supervisor/event-log.ts';
import type { SupervisorCore } from '../../../supervisor/supervisor.ts';
import { eventually, within } from '../../promises/eventually.ts';

/** As much of a supervisor as these conversations ask for. */
function coreIn(t: TestContext, uid = process.getuid!()): SupervisorCore {
  const folder = mkdtempSync(join(tmpdir(), 'covet-control-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const real = realEnv();
  const native = Object.assign(Object.create(real.native), { peerCredentials: () => ({ pid: process.pid, uid, gid: uid }) });
  const env = { ...real, native, paths: { ...real.paths, control: join(folder, 'control.sock') } };
  return { env, events: new EventLog(env), apps: new Map() } as unknown as SupervisorCore;
}

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
  new ControlConnection(core, served, () => {}).begin();
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
  const core = coreIn(t, process.getuid!() + 1);
  const server = new ControlServer(core);
  await server.listen();
  const client = connect({ path: core.env.paths.control, allowHalfOpen: true }).on('error', () => undefined);
  t.after(() => client.destroy());
  client.write('{"jsonrpc":"2.0","id":1,"method":"ping"}\n');
  await once(client, 'readable');
  await within('the server to close', server.close(), 5_000);
});
