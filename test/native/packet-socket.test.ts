/** PacketSocket: packets and descriptors arrive whole, in order and owned by who received them, whatever the peer does. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { binary, native, type PacketSocket } from '../../native/index.ts';
import { closeAll, DEADLINE_MS, isCloexec, openFds, systemError, temporaryFolder } from './pipe.ts';

const { PacketSocket, socketPair } = native();
const timeout = DEADLINE_MS;
const QUEUE_PACKETS_MAX = 1_024;

function pair(): [PacketSocket, PacketSocket] {
  const [one, other] = socketPair('seqpacket');
  return [new PacketSocket(one), new PacketSocket(other)];
}

interface Received {
  readonly texts: string[];
  readonly fds: number[];
  readonly end: Error | null;
}

/** Everything until the end. */
async function readAll(socket: PacketSocket): Promise<Received> {
  const texts: string[] = [];
  const all: number[] = [];
  return await new Promise((resolve) => {
    const onPacket = (text: string, fds: number[]) => {
      texts.push(text);
      all.push(...fds);
    };
    socket.start(onPacket, (end) => resolve({ texts, fds: all, end }));
  });
}

/** Runs JavaScript in a process of its own; `native` is the addon. */
function runScript(script: string) {
  const prelude = `const native = require(${JSON.stringify(binary('covet.node'))});`;
  return spawnSync(process.execPath, ['-e', prelude + script], { encoding: 'utf8', timeout });
}

test('descriptors arrive with their packet, CLOEXEC, and are the same open files', { timeout }, async (t) => {
  const path = join(temporaryFolder(t), 'file');
  writeFileSync(path, 'content');
  const file = openSync(path, 'r');
  const [one, other] = pair();
  one.send('a file and itself again', [file, file]);
  one.send('nothing with it');
  const inode = fstatSync(file).ino;
  closeSync(file);
  one.close();
  const { texts, fds, end } = await readAll(other);
  assert.deepEqual(texts, ['a file and itself again', 'nothing with it']);
  assert.equal(end, null);
  assert.deepEqual(
    fds.map((fd) => fstatSync(fd).ino),
    [inode, inode],
  );
  assert.ok(fds.every(isCloexec));
  closeAll(...fds);
  other.close();
});

test('receive() waits for one packet, says when there is none in time, and gives null at the end', () => {
  const [one, other] = pair();
  const began = performance.now();
  assert.throws(() => other.receive(50), systemError('ETIMEDOUT', 'recvmsg'));
  assert.ok(performance.now() - began >= 49);
  one.send('first', [one.fd]);
  one.send('second');
  const first = other.receive(1_000);
  assert.equal(first?.text, 'first');
  assert.ok(first.fds.every(isCloexec));
  closeAll(...first.fds);
  one.close();
  assert.deepEqual(other.receive(1_000), { text: 'second', fds: [] });
  assert.equal(other.receive(1_000), null);
  assert.equal(other.receive(1_000), null);
  assert.throws(() => other.send('to nobody'), systemError('EPIPE', 'sendmsg'));
  other.close();
});

test('receive() wakes up for a packet that comes while it waits', { timeout }, async () => {
  const [one, other] = socketPair('seqpacket');
  const script = `const { workerData } = require('node:worker_threads');
    const native = require(workerData.path);
    const socket = new native.PacketSocket(workerData.fd);
    socket.send('ready'); // the other side blocks its thread until this comes
    socket.receive(10_000);
    socket.send('answer');
    socket.close();`;
  const worker = new Worker(script, { eval: true, workerData: { path: binary('covet.node'), fd: other } });
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  const socket = new PacketSocket(one);
  assert.equal(socket.receive(10_000)?.text, 'ready');
  socket.send('question');
  assert.equal(socket.receive(10_000)?.text, 'answer');
  assert.equal(await ended, 0);
  socket.close();
});

test('a peer that dies with our packets unread loses none of its own', { timeout }, async () => {
  const [one, other] = pair();
  other.send('never read');
  for (let i = 0; i < 10; i++) one.send(`${i}`);
  one.close();
  const { texts, end } = await readAll(other);
  assert.deepEqual(texts, ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
  assert.ok(systemError('ECONNRESET', 'recvmsg')(end));
  other.close();
});

test('packets wait in order while the peer does not read, with descriptors of their own, up to a bound', { timeout }, async (t) => {
  const path = join(temporaryFolder(t), 'file');
  writeFileSync(path, '');
  const [one, other] = pair();
  let sent = 0;
  assert.throws(
    () => {
      for (;;) {
        const file = openSync(path, 'r');
        try {
          one.send(`${sent}`, sent % 100 === 0 ? [file] : []);
        } finally {
          closeSync(file);
        }
        sent++;
      }
    },
    systemError('ENOBUFS', 'sendmsg'),
  );
  assert.ok(sent > QUEUE_PACKETS_MAX, `${sent} packets`);

  // Nothing but reading the other end makes room: this socket was never started.
  const texts: string[] = [];
  const fds: number[] = [];
  await new Promise<void>((resolve) => {
    const onPacket = (text: string, received: number[]) => {
      texts.push(text);
      fds.push(...received);
      if (texts.length === sent) resolve();
    };
    other.start(onPacket, () => undefined);
  });
  assert.deepEqual(
    texts,
    Array.from({ length: sent }, (_, i) => `${i}`),
  );
  assert.equal(fds.length, Math.ceil(sent / 100));
  const inode = fstatSync(fds[0] ?? -1).ino;
  assert.ok(fds.every((fd) => fstatSync(fd).ino === inode));
  closeAll(...fds);
  one.send('room again');
  one.close();
  other.close();
});

test('receive() sends what waits first, since the answer may depend on it', { timeout }, () => {
  const [one, other] = pair();
  let sent = 0;
  while (sent < 600) one.send(`${sent++} ${'x'.repeat(2_000)}`);
  // The kernel's queue has room for some hundred packets of these; the rest waits here. Each receive of one makes room.
  assert.throws(() => one.receive(0), systemError('ETIMEDOUT'));
  for (let i = 0; i < sent; i++) {
    assert.equal(other.receive(1_000)?.text.split(' ')[0], `${i}`);
    other.send('ack');
    assert.equal(one.receive(1_000)?.text, 'ack');
  }
  one.close();
  other.close();
});

test('close() inside the callback ends the reading at once', { timeout }, async () => {
  const [one, other] = pair();
  for (let i = 0; i < 5; i++) one.send(`${i}`);
  const before = openFds().size;
  const texts: string[] = [];
  await new Promise<void>((resolve) => {
    other.start(
      (text) => {
        texts.push(text);
        if (texts.length === 2) {
          other.close();
          other.close();
          setImmediate(resolve);
        }
      },
      () => assert.fail('no end is told after close()'),
    );
  });
  assert.deepEqual(texts, ['0', '1']);
  assert.equal(other.fd, -1);
  assert.equal(openFds().size, before - 1);
  assert.throws(() => other.send('x'), systemError('EBADF'));
  assert.throws(() => other.receive(0), systemError('EBADF'));
  assert.throws(
    () =>
      other.start(
        () => undefined,
        () => undefined,
      ),
    systemError('EBADF'),
  );
  one.close();
});

test('close() inside onEnd, and start() twice', { timeout }, async () => {
  const [one, other] = pair();
  const ended = new Promise<Error | null>((resolve) => {
    other.start(
      () => undefined,
      (error) => {
        other.close();
        resolve(error);
      },
    );
  });
  assert.throws(
    () =>
      other.start(
        () => undefined,
        () => undefined,
      ),
    systemError('EALREADY'),
  );
  one.close();
  assert.equal(await ended, null);
  assert.equal(other.fd, -1);
});

test('what a callback throws is an uncaught exception, and the next packet still comes', () => {
  const result = runScript(`
    const [one, other] = native.socketPair('seqpacket').map((fd) => new native.PacketSocket(fd));
    process.on('uncaughtException', (error) => console.log('uncaught', error.message));
    other.start((text) => { if (text === 'bad') throw new Error('thrown'); console.log(text); other.close(); }, () => {});
    one.send('bad'); one.send('good');`);
  assert.equal(result.stdout, 'uncaught thrown\ngood\n', result.stderr);
  assert.equal(result.status, 0);
});

test('a promise settled in the callback goes on before the next packet', () => {
  const result = runScript(`
    const [one, other] = native.socketPair('seqpacket').map((fd) => new native.PacketSocket(fd));
    other.start((text) => { console.log(text); Promise.resolve().then(() => console.log('then', text)); if (text === 'b') other.close(); }, () => {});
    one.send('a'); one.send('b');`);
  assert.equal(result.stdout, 'a\nthen a\nb\nthen b\n', result.stderr);
});

test('a started socket keeps the process alive, an unref()ed one does not', () => {
  const script = `const [one, other] = native.socketPair('seqpacket').map((fd) => new native.PacketSocket(fd));
    other.start((text) => { console.log(text); other.unref(); }, () => {}); setTimeout(() => one.send('late'), 100).unref();`;
  assert.equal(runScript(script).stdout, 'late\n');
  assert.equal(runScript(`${script} other.unref();`).stdout, '');
});

test('worker_threads load the addon too, and may be terminated while they read and send', { timeout }, async () => {
  const script = `const { parentPort, workerData } = require('node:worker_threads');
    const native = require(workerData);
    const [one, other] = native.socketPair('seqpacket').map((fd) => new native.PacketSocket(fd));
    for (let i = 0; i < 1_000; i++) one.send('packet ' + i); // most of them wait: both ends are on the loop
    let count = 0;
    other.start((text) => { one.send(text); if (++count === 100) parentPort.postMessage(text); }, () => {});`;
  const before = openFds().size;
  for (let round = 0; round < 5; round++) {
    const workers = Array.from({ length: 4 }, () => new Worker(script, { eval: true, workerData: binary('covet.node') }));
    await Promise.all(
      workers.map(async (worker) => {
        assert.equal(await new Promise((resolve) => worker.once('message', resolve)), 'packet 99');
        await worker.terminate();
      }),
    );
  }
  assert.equal(openFds().size, before);
});

test('thousands of sockets leave no descriptor behind', { timeout }, async () => {
  const before = openFds().size;
  for (let i = 0; i < 2_000; i++) {
    const [one, other] = pair();
    const ended = new Promise<void>((resolve) =>
      other.start(
        (_, fds) => closeAll(...fds),
        () => resolve(),
      ),
    );
    one.send('x', [one.fd, other.fd]);
    one.close();
    // Half of them read to the end, the others are closed with a packet unread.
    if (i % 2 === 0) await ended;
    other.close();
  }
  await new Promise(setImmediate);
  assert.equal(openFds().size, before);
});

test('what cannot be sent or is no packet socket is refused by name', () => {
  const [one, other] = pair();
  assert.throws(() => one.send('x'.repeat(65_537)), systemError('EMSGSIZE', 'sendmsg'));
  assert.throws(() => one.send('x', [999_999]), systemError('EBADF', 'sendmsg'));
  assert.throws(
    () =>
      one.send(
        'x',
        Array.from({ length: 65 }, () => 0),
      ),
    systemError('EMSGSIZE', 'sendmsg'),
  );
  assert.throws(() => one.send(''), /Expected `text` not to be empty/);
  assert.throws(() => one.send('x', [-1]), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /Expected `fds` to be an integer from 0 to \d+, got -1 \(number\)/,
  });
  assert.throws(() => one.receive(-1), /Expected `timeoutMs`/);
  one.close();
  other.close();
  const stream = socketPair('stream');
  assert.throws(() => new PacketSocket(stream[0]), systemError('EPROTOTYPE'));
  closeAll(...stream);
  const [packets, theirs] = socketPair('seqpacket');
  assert.throws(() => new PacketSocket(packets, 'datagram'), systemError('EPROTOTYPE'));
  closeAll(packets, theirs);
  const file = openSync('/dev/null', 'r');
  assert.throws(() => new PacketSocket(file), systemError('ENOTSOCK'));
  closeSync(file);
  assert.throws(() => new PacketSocket(999_999), systemError('EBADF'));
});
