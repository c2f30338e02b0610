/** Rescuer, the addon's face of rescue: what it takes and gives, what it refuses, and that nothing is left of it. rescue.test.ts is its core's. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { suite, test, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { binary, native, type PacketSocket, type Rescuer } from '../../native/index.ts';
import { ALL } from '../promises/tier.ts';
import { connectMany, type Group, makeGroup } from './group.ts';
import { closeAll, DEADLINE_MS, openFds, systemError } from './pipe.ts';

const addon = native();
const timeout = DEADLINE_MS;
const KEY = 'tcp://127.0.0.1:3000';

/** A rescuer of a group whose first queue gets every connection; queue i is served by worker i + 1. */
function makeRescuer(t: TestContext, backend: 'epoll' | 'io_uring', served = 3, group = makeGroup(t)): { group: Group; rescuer: Rescuer } {
  addon.attachSelector(group.fds[0] ?? -1, [0]);
  const rescuer = new addon.Rescuer({ rescueAfterMs: 4, backend });
  t.after(() => rescuer.close());
  for (const [queue, fd] of group.fds.slice(0, served).entries()) {
    rescuer.addQueue(queue, KEY, fd);
    rescuer.serveQueue(queue, queue + 1);
  }
  return { group, rescuer };
}

/** The workers' end of a pair: what it was handed, and who answers for it. */
interface Taker {
  readonly socket: PacketSocket;
  readonly fds: number[];
}

function addTaker(t: TestContext, rescuer: Rescuer, worker: number, answer: (taker: Taker, count: number) => void): Taker {
  const [ours, theirs] = addon.socketPair('seqpacket');
  const taker: Taker = { socket: new addon.PacketSocket(theirs), fds: [] };
  taker.socket.start(
    (text, fds) => {
      assert.deepEqual(JSON.parse(text), { t: 'conns', listener: KEY });
      taker.fds.push(...fds);
      answer(taker, fds.length);
    },
    () => taker.socket.close(),
  );
  rescuer.addTaker(worker, ours);
  t.after(() => {
    taker.socket.close();
    closeAll(...taker.fds);
  });
  return taker;
}

const says =
  (t: 'taken' | 'refused') =>
  (taker: Taker, count: number): void =>
    taker.socket.send(JSON.stringify({ t, count }));

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await turn();
}

for (const backend of ['epoll', 'io_uring'] as const) {
  suite(backend, () => {
    test('connections of a queue that nobody takes arrive at who serves another, and are theirs', { timeout }, async (t) => {
      const group = makeGroup(t);
      const before = openFds().size;
      const { rescuer } = makeRescuer(t, backend, 3, group);
      assert.deepEqual([rescuer.backend, rescuer.ioUringRefused], [backend, '']);
      const taker = addTaker(t, rescuer, 2, says('taken'));
      const client = await group.connect();
      await until(() => rescuer.counts().handed === 1);
      const [fd = -1] = taker.fds;
      assert.deepEqual(addon.socketName(fd), { address: '127.0.0.1', port: group.port, family: 4 });
      writeSync(fd, 'served');
      assert.equal(String((await once(client, 'data'))[0]), 'served');
      await connectMany(group, 20);
      await until(() => rescuer.counts().handed === 21);
      assert.deepEqual(group.depths(), [0, 0, 0, 0]);

      // Of those that were taken only the workers' own are open.
      rescuer.close();
      taker.socket.close();
      assert.equal(openFds().size, before + 21 * 2);
      const { taken, handed, refused, reset, held } = rescuer.counts();
      assert.deepEqual([taken, handed, refused, reset, held], [21, 21, 0, 0, 0]);
      assert.throws(() => rescuer.orphanQueue(0), systemError('EBADF'));
    });

    test('what one gives back, or leaves unanswered at its end, goes to another', { timeout }, async (t) => {
      const { group, rescuer } = makeRescuer(t, backend);
      const refuses = addTaker(t, rescuer, 2, (taker, count) => {
        closeAll(...taker.fds.splice(0));
        says('refused')(taker, count);
      });
      const ends = addTaker(t, rescuer, 3, (taker) => {
        closeAll(...taker.fds.splice(0));
        taker.socket.close();
      });
      await connectMany(group, 4);
      await until(() => rescuer.counts().held === 4);
      assert.equal(rescuer.counts().handed, 0);
      assert.deepEqual([refuses.fds, ends.fds], [[], []]);
      rescuer.serveQueue(2, 4);
      const taker = addTaker(t, rescuer, 4, says('taken'));
      await until(() => rescuer.counts().handed === 4);
      assert.equal(taker.fds.length, 4);
    });

    test('what removeTaker() finds unanswered goes to another; an answer that is none ends a taker', { timeout }, async (t) => {
      const { group, rescuer } = makeRescuer(t, backend);
      const silent = addTaker(t, rescuer, 2, () => undefined);
      await connectMany(group, 2);
      await until(() => silent.fds.length === 2);
      const odd = addTaker(t, rescuer, 3, (taker) => taker.socket.send('{"t":"taken","count":7}'));
      rescuer.removeTaker(2);
      await until(() => odd.socket.fd === -1);
      assert.deepEqual([rescuer.counts().held, rescuer.counts().handed], [2, 0]);
    });

    test('retired, a queue is let go after its time; served again before, it is kept', { timeout }, async (t) => {
      const { group, rescuer } = makeRescuer(t, backend, 2);
      const taker = addTaker(t, rescuer, 2, says('taken'));
      const fds = openFds().size;
      rescuer.retireQueue(0, 60_000);
      await group.connect();
      await until(() => rescuer.counts().handed === 1);
      rescuer.retireQueue(1, 20);
      rescuer.serveQueue(1, 2);
      rescuer.retireQueue(0, 20);
      await until(() => openFds().size === fds - 1 + taker.fds.length + 1);
      await group.connect();
      assert.equal(group.depths()[0], 1);
    });

    test('after close() the port is free at once, though its queue was watched', { timeout }, async (t) => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
      const { port } = addon.socketName(fd) as { port: number };
      const rescuer = new addon.Rescuer({ rescueAfterMs: 4, backend });
      for (const queue of [1, 2]) {
        rescuer.addQueue(queue, KEY, fd);
        rescuer.serveQueue(queue, queue);
      }
      addTaker(t, rescuer, 1, says('taken'));
      await until(() => rescuer.counts().wakes > 0);
      server.close();
      rescuer.close();
      const again = createServer().listen(port, '127.0.0.1');
      await once(again, 'listening');
      again.close();
    });
  });
}

test('a connection that nobody takes for ten seconds is reset', { timeout, skip: !ALL && 'ten seconds, with --all' }, async (t) => {
  const { group, rescuer } = makeRescuer(t, 'epoll');
  addTaker(t, rescuer, 2, (taker) => {
    closeAll(...taker.fds.splice(0));
    taker.socket.close();
  });
  const client = await group.connect();
  await assert.rejects(once(client, 'data'), { code: 'ECONNRESET' });
  assert.deepEqual([rescuer.counts().reset, rescuer.counts().held], [1, 0]);
});

test('what is no queue, taker or option is refused by name', (t) => {
  const { group, rescuer } = makeRescuer(t, 'epoll');
  const [fd = -1] = group.fds;
  assert.throws(() => new addon.Rescuer({ rescueAfterMs: 1, backend: 'auto' }), /Expected `options.rescueAfterMs` to be an integer from 2/);
  assert.throws(
    // @ts-expect-error: no such back end
    () => new addon.Rescuer({ rescueAfterMs: 10, backend: 'kqueue' }),
    /Expected `options.backend` to be "auto", "io_uring" or "epoll"/,
  );
  assert.throws(() => rescuer.addQueue(-1, KEY, fd), /Expected `queue`/);
  assert.throws(() => rescuer.addQueue(9, 'tcp://"', fd), /Expected `listener` to be a listener's key/);
  assert.throws(() => rescuer.serveQueue(0, 0), /Expected `worker` to be an integer from 1/);
  assert.throws(() => rescuer.addQueue(9, KEY, 999_999), systemError('EBADF'));
  const stream = addon.socketPair('stream');
  assert.throws(() => rescuer.addQueue(9, KEY, stream[0]), systemError('ENOTSUP'));
  assert.throws(() => rescuer.addTaker(2, stream[0]), systemError('EPROTOTYPE'));
  closeAll(...stream);
  // Of what it does not know there is nothing to say.
  rescuer.serveQueue(77, 1);
  rescuer.removeQueue(77);
  rescuer.removeTaker(77);
});

test('it neither keeps a process alive nor an environment that is terminated while it rescues', { timeout }, async () => {
  const script = `const native = require(${JSON.stringify(binary('covet.node'))});
    const { createServer, connect } = require('node:net');
    const rescuer = new native.Rescuer({ rescueAfterMs: 2, backend: 'auto' });
    const server = createServer().listen(0, '127.0.0.1', () => {
      const [ours, theirs] = native.socketPair('seqpacket');
      globalThis.theirEnd = new native.PacketSocket(theirs);
      rescuer.addQueue(0, 'tcp://x', server._handle.fd);
      rescuer.addQueue(1, 'tcp://x', server._handle.fd);
      rescuer.orphanQueue(0);
      rescuer.serveQueue(1, 1);
      rescuer.addTaker(1, ours);
      connect(server.address().port, '127.0.0.1', ready);
    });`;
  const ended = spawnSync(process.execPath, ['-e', `${script} function ready() { this.destroy(); server.close(); }`], {
    encoding: 'utf8',
    timeout,
  });
  assert.deepEqual([ended.status, ended.stderr], [0, '']);
  const before = openFds().size;
  const threads = Array.from({ length: 4 }, () => {
    const ready = `function ready() { require('node:worker_threads').parentPort.postMessage('rescued'); }`;
    return new Worker(script + ready, { eval: true });
  });
  await Promise.all(
    threads.map(async (thread) => {
      await once(thread, 'message');
      await thread.terminate();
    }),
  );
  assert.equal(openFds().size, before);
});
