/** A reuseport group of listening sockets that nobody accepts from, and clients of it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { native } from '../../native/index.ts';
import { closeAll, DEADLINE_MS, fixture } from './pipe.ts';

const addon = native();

export interface Group {
  readonly port: number;
  readonly fds: readonly number[];
  /** Connections that wait, by member. */
  depths(): number[];
  /** Resolves when the connection stands: on loopback it is in a queue then. */
  connect(localPort?: number): Promise<Socket>;
}

/** Four listening sockets of one reuseport group that nobody accepts from; the last is locked. */
export function makeGroup(t: TestContext): Group {
  const [ours, theirs] = addon.socketPair('seqpacket');
  const channel = new addon.PacketSocket(ours);
  const made = spawnSync('python3', [fixture('reuseport-group.py')], {
    stdio: ['ignore', 'inherit', 'inherit', theirs],
    timeout: DEADLINE_MS,
  });
  assert.equal(made.status, 0);
  const fds = channel.receive(0)?.fds ?? [];
  channel.close();
  closeSync(theirs);
  const name = addon.socketName(fds[0] ?? -1);
  assert.ok('port' in name);
  const clients: Socket[] = [];
  t.after(() => {
    for (const client of clients) client.destroy();
    closeAll(...fds);
  });
  return {
    port: name.port,
    fds,
    depths: () => fds.map((fd) => addon.queueState(fd).depth),
    async connect(localPort) {
      const client = connect({ host: '127.0.0.1', port: name.port, ...(localPort === undefined ? {} : { localPort }) });
      clients.push(client);
      await once(client, 'connect');
      return client;
    },
  };
}

export async function connectMany(group: Group, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, () => group.connect()));
}
