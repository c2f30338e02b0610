/**
 * The load clients against plain node servers: each accounts for every request, loses none of a healthy server's, and reports
 * losses when the server is killed under it. A client that could not see a loss would prove nothing.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Http1Reader } from './http1-reader.ts';
import { LoadProcess } from './load.ts';
import type { ClientKind, LoadOptions } from './options.ts';
import { PlainApp } from './plain-app.ts';
import { Lost, type Tally } from './tally.ts';

interface Case {
  readonly client: ClientKind;
  readonly app: string;
  readonly tls?: boolean;
  readonly answers: number;
}

const CASES: readonly Case[] = [
  { client: 'reconnect', app: 'http.cjs', answers: 200 },
  { client: 'keepAlive', app: 'http.cjs', answers: 200 },
  { client: 'keepAlive', app: 'https.cjs', tls: true, answers: 200 },
  { client: 'agent', app: 'express.cjs', answers: 100 },
  { client: 'agent', app: 'https.cjs', tls: true, answers: 100 },
  { client: 'undici', app: 'fastify.mjs', answers: 100 },
  { client: 'undiciPipelining', app: 'http.mjs', answers: 100 },
  { client: 'halfHead', app: 'http.cjs', answers: 50 },
  { client: 'upload', app: 'http.cjs', answers: 4 },
  { client: 'slowDownload', app: 'http.cjs', answers: 4 },
  { client: 'http2', app: 'http2.cjs', tls: true, answers: 100 },
  { client: 'http2', app: 'h2c.cjs', answers: 100 },
  { client: 'websocket', app: 'ws-echo.cjs', answers: 100 },
  { client: 'sse', app: 'sse.cjs', answers: 100 },
];

describe('a load client', () => {
  let load: LoadProcess;
  before(async () => {
    load = await LoadProcess.start();
  });
  after(async () => load.close());

  for (const { client, app, tls = false, answers } of CASES) {
    test(`${client} loses nothing of a healthy ${app}, and says what it lost when that is killed`, async () => {
      const first = await PlainApp.start(app);
      let second: PlainApp | undefined;
      const options: LoadOptions = { kind: client, target: { host: '127.0.0.1', port: first.port, tls }, connections: 4 };
      try {
        const healthy = await load.begin(options);
        await healthy.more(answers);
        const good = await healthy.stop();
        assert.equal(good.lost, 0, JSON.stringify(good));
        assert.ok(good.answered >= answers);
        assert.ok(client === 'reconnect' || client === 'sse' || good.opened <= 4, `opened ${good.opened}`);

        const cut = await load.begin(options);
        await cut.more(answers / 2);
        await first.kill();
        second = await PlainApp.start(app, first.port);
        await cut.more(answers / 2);
        const bad = await cut.stop();
        assert.ok(bad.lost > 0, `the server was killed, and ${client} saw nothing: ${JSON.stringify(bad)}`);
      } finally {
        await first.kill();
        await second?.kill();
      }
    });
  }

  test('keepAlive opens each connection once, whatever it thinks', async () => {
    const app = await PlainApp.start('http.cjs');
    try {
      const loads = await Promise.all(
        (
          [
            [0, 0],
            [0, 50],
            [0, 500],
          ] as const
        ).map(async (thinkMs) => load.begin({ kind: 'keepAlive', target: { host: '127.0.0.1', port: app.port }, connections: 5, thinkMs })),
      );
      for (const each of loads) {
        await each.more(20);
        const tally = await each.stop();
        assert.deepEqual([tally.opened, tally.lost, tally.closedIdle], [5, 0, 0]);
      }
    } finally {
      await app.kill();
    }
  });

  test('reconnect counts a port where nobody listens as refused', async () => {
    const app = await PlainApp.start('http.cjs');
    const reconnecting = await load.begin({ kind: 'reconnect', target: { host: '127.0.0.1', port: app.port }, connections: 2 });
    await app.kill();
    await refusals(reconnecting);
    const tally = await reconnecting.stop();
    assert.ok(tally.lostBy.refused > 0);
  });
});

/** Waits by asking: each peek is a round trip to the load process, whose clients go on in between. */
async function refusals(load: { peek(): Promise<Tally> }): Promise<void> {
  const end = performance.now() + 10_000;
  while ((await load.peek()).lostBy.refused === 0) assert.ok(performance.now() < end, 'no refusal within 10 s');
}

describe('the HTTP/1 reader', () => {
  const read = (...pieces: string[]): { got: string[]; inside: boolean } => {
    const got: string[] = [];
    const reader = new Http1Reader({
      head: ({ status }) => got.push(String(status)),
      body: (piece) => got.push(piece.toString()),
      end: () => got.push('end'),
    });
    for (const piece of pieces) reader.push(Buffer.from(piece));
    return { got, inside: reader.inside };
  };

  test('reads responses at any split, pipelined ones too', () => {
    const text =
      'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n';
    for (let at = 1; at < text.length; at++) {
      const { got, inside } = read(text.slice(0, at), text.slice(at));
      const heads = got.filter((part) => /^\d+$/.test(part) || part === 'end');
      assert.deepEqual(heads, ['200', 'end', '204', 'end', '200', 'end']);
      assert.equal(inside, false);
    }
  });

  test('knows that a response has begun and not ended', () => {
    assert.equal(read('HT').inside, true);
    assert.equal(read('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab').inside, true);
    assert.equal(read('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n').inside, true);
  });

  for (const wrong of [
    '\x16\x03\x01\x02',
    'HTTP/1.0 200 OK\r\n\r\n',
    'HTTP/1.1 200 OK\r\nbad field\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  ]) {
    test(`refuses ${JSON.stringify(wrong.slice(0, 60))}`, () => {
      assert.throws(
        () => read(wrong),
        (error) => error instanceof Lost && error.loss === 'protocol',
      );
    });
  }
});
