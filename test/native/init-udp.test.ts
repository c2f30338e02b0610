/** UDP groups of covet-init: one socket a slot, chosen by the kernel's hash, and a slot that is dropped is not chosen any more. */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { native } from '../../native/index.ts';
import { type Conversation, type Heard, startEmbedded } from './init-harness.ts';

const CLIENTS = 64;

function listen(wire: Conversation, fields: Record<string, string | number> = {}): Promise<Heard> {
  return wire.request('listen', {
    group: 'g',
    family: 'udp4',
    host: '127.0.0.1',
    port: 0,
    dual: 0,
    backlog: 0,
    slot: 0,
    half: 0,
    halves: 1,
    ...fields,
  });
}

const failure = ({ verb, fields }: Heard): string => `${verb} ${fields['code']}`;

/** As a worker has it: reads the lent socket, and tells how many it has read. */
function reader(t: TestContext, fd: number | undefined): { socket: Socket; count: () => number } {
  const socket = createSocket('udp4');
  let count = 0;
  socket.on('message', () => count++);
  socket.bind({ fd: native().duplicate(fd ?? -1), exclusive: true });
  t.after(() => {
    try {
      socket.close();
    } catch {
      // the test did
    }
  });
  return { socket, count: () => count };
}

/** One datagram from each of many ports; resolves when `read` says that all are read. */
async function sendFromMany(port: number, read: () => number): Promise<void> {
  const before = read();
  const clients = Array.from({ length: CLIENTS }, () => createSocket('udp4'));
  for (const client of clients) client.send('x', port, '127.0.0.1');
  while (read() < before + CLIENTS) await new Promise((resolve) => setImmediate(resolve));
  for (const client of clients) client.close();
}

test('a group is one socket, and one more for each slot, and all of them are chosen', async (t) => {
  const { wire } = startEmbedded(t);
  const opened = await listen(wire);
  assert.deepEqual(
    [opened.verb, opened.fields['halves'], opened.fields['family'], opened.fields['guard']],
    ['listening', '1', 'udp4', '-1'],
  );
  assert.equal(opened.fds.length, 1);
  const appended = await wire.request('append', { group: 'g', slot: 1, half: 0 });
  assert.equal(appended.fds.length, 1);
  const [first, second] = [reader(t, opened.fds[0]), reader(t, appended.fds[0])];
  await sendFromMany(Number(opened.fields['port']), () => first.count() + second.count());
  assert.ok(first.count() > 0 && second.count() > 0, `${first.count()} and ${second.count()}`);
  const held = (await wire.hello()).filter(({ verb }) => verb === 'group' || verb === 'member');
  assert.deepEqual(
    held.map(({ fields }) => [fields['family'], fields['reuse'], fields['slot'], fields['half']]),
    [
      ['udp4', '0', undefined, undefined],
      [undefined, undefined, '0', '0'],
      [undefined, undefined, '1', '0'],
    ],
  );
});

test('what is sent to nobody waits in the held socket', async (t) => {
  const { wire } = startEmbedded(t);
  const opened = await listen(wire);
  const client = createSocket('udp4');
  t.after(() => client.close());
  await new Promise((resolve) => client.send('early', Number(opened.fields['port']), '127.0.0.1', resolve));
  const { socket } = reader(t, opened.fds[0]);
  const [data] = (await once(socket, 'message')) as [Buffer];
  assert.equal(data.toString(), 'early');
});

test('a dropped slot is out of the group when its worker has closed it too, and a slot may come back', async (t) => {
  const { wire } = startEmbedded(t);
  const opened = await listen(wire);
  const port = Number(opened.fields['port']);
  const appended = await wire.request('append', { group: 'g', slot: 1, half: 0 });
  const [first, second] = [reader(t, opened.fds[0]), reader(t, appended.fds[0])];
  native().closeFd(appended.fds[0]!);
  assert.equal((await wire.request('drop', { group: 'g', slot: 1 })).verb, 'ok');
  assert.equal((await wire.request('drop', { group: 'g', slot: 1 })).verb, 'ok');
  await sendFromMany(port, () => first.count() + second.count());
  assert.ok(second.count() > 0, 'it has its socket still');
  second.socket.close();
  const before = first.count();
  await sendFromMany(port, first.count);
  assert.equal(first.count(), before + CLIENTS);
  const again = reader(t, (await wire.request('append', { group: 'g', slot: 1, half: 0 })).fds[0]);
  await sendFromMany(port, () => first.count() + again.count());
  assert.ok(again.count() > 0);
  assert.equal(failure(await wire.request('drop', { group: 'nobody', slot: 1 })), 'error ENOENT');
});

test('errors are those of bind(2), and a stream’s port is another', async (t) => {
  const { wire } = startEmbedded(t);
  const other = createSocket({ type: 'udp4', reuseAddr: true });
  t.after(() => other.close());
  other.bind(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address();
  assert.equal(failure(await listen(wire, { port })), 'error EADDRINUSE');
  const shared = await listen(wire, { port, reuse: 1 });
  assert.equal(shared.verb, 'listening', 'who sets SO_REUSEADDR shares with who does');
  assert.equal((await wire.hello()).find(({ verb }) => verb === 'group')?.fields['reuse'], '1');
  assert.equal((await listen(wire, { group: 'tcp', family: 'tcp4', port, backlog: 1 })).verb, 'listening');
  assert.equal(failure(await listen(wire, { group: 'two', port: 0, halves: 2 })), 'error EINVAL');
  assert.equal(failure(await listen(wire, { group: 'away', host: '192.0.2.1' })), 'error EADDRNOTAVAIL');
  assert.equal(failure(await wire.request('drop', { group: 'tcp', slot: 0 })), 'error EOPNOTSUPP');
});
