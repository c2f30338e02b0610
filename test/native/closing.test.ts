/** Closing a whole group while clients go on asking: they are refused, and none is let in by a socket that ends a moment later. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { native, packageRoot } from '../../native/index.ts';
import type { Env } from '../../supervisor/env.ts';
import { plugGuard } from '../../supervisor/listeners/plug.ts';
import { type Conversation, startEmbedded } from './init-harness.ts';

const SLOTS = 16;
/** Of a group that ends in another order each resets some. */
const GROUPS = 10;
const CLIENTS = join(packageRoot(), 'test', 'fixtures', 'native', 'connects.py');

/** A group of many slots that nobody may enter any more; resolves with its port. */
async function pluggedGroup(wire: Conversation, group: number): Promise<number> {
  const order = { group, family: 'tcp4', host: '127.0.0.1', port: 0, dual: 0, backlog: 511, slot: 0, half: 0, halves: 2 };
  const { fields, fds } = await wire.request('listen', order);
  const [a, b, guard = -1] = fds;
  const appended = [];
  for (let slot = 1; slot < SLOTS; slot++) appended.push(...(await wire.request('append', { group, slot, half: 0 })).fds);
  wire.close(a, b, ...appended);
  const { port, index, first } = { port: Number(fields['port']), index: Number(fields['guard']), first: Number(fields['a']) };
  const address = { kind: 'tcp', host: '127.0.0.1', port, dual: false } as const;
  await plugGuard({ native: native() } as Env, guard, address, (localPort) =>
    native().attachSelector(guard, [first], { port: localPort, index }),
  );
  native().attachSelector(guard, [index]);
  wire.close(guard);
  return port;
}

test('a group that nobody may enter any more lets nobody in while it closes', async (t) => {
  const { wire } = startEmbedded(t);
  const ends = new Map<string, number>();
  for (let group = 0; group < GROUPS; group++) {
    const port = await pluggedGroup(wire, group);
    const clients = spawn('python3', [CLIENTS, String(port)], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface(clients.stdout)[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'begun');
    await wire.request('close', { group });
    clients.stdin.end();
    for (const [name = '', count] of ((await lines.next()).value as string).split(' ').map((pair) => pair.split('='))) {
      ends.set(name, (ends.get(name) ?? 0) + Number(count));
    }
    await once(clients, 'close');
  }
  t.diagnostic(JSON.stringify(Object.fromEntries(ends)));
  assert.equal(ends.get('ECONNRESET') ?? 0, 0);
  assert.ok((ends.get('ECONNREFUSED') ?? 0) > 0);
});
