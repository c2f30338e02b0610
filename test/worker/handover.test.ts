/**
 * The hand-over of idle HTTP/1 connections to a worker of the next generation, under load: the client sees nothing. Each kind of client
 * goes through several reloads; the same clients do lose requests when a worker is ended without it.
 */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { FakeSupervisor, fixture, within, type Worker } from './harness.ts';
import { KeepAliveClient, type RequestPieces } from './keep-alive-client.ts';

const RELOADS = 4;
/** Between two reloads; each is checked to have been served by the new worker. */
const REQUESTS_BETWEEN = 4;

interface Load {
  /** The n-th request of a client, and the bodies it must be answered with. */
  make(n: number): { pieces: RequestPieces; bodies: readonly (string | Buffer)[] };
  readonly clients: number;
  readonly thinkMsMax: number;
  /** Between two pieces of an answer. */
  readonly pauseMs?: number;
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: any\r\n\r\n`;
const upload = Buffer.alloc(20_000, 'u');

const loads: Record<string, Load> = {
  'requests back to back': { make: (n) => ({ pieces: [get(`/${n}`)], bodies: [`/${n} `] }), clients: 64, thinkMsMax: 0 },
  'clients that think': { make: (n) => ({ pieces: [get(`/${n}`)], bodies: [`/${n} `] }), clients: 64, thinkMsMax: 30 },
  'clients that ask again before the worker reads': {
    make: (n) => ({ pieces: [get(`/busy${n}`)], bodies: [`/busy${n} `] }),
    clients: 4,
    thinkMsMax: 0,
  },
  'uploads half sent': {
    make: (n) => ({
      pieces: [
        `POST /slow${n} HTTP/1.1\r\nHost: any\r\nContent-Length: ${upload.length}\r\n\r\n`,
        upload.subarray(0, 7_000),
        upload.subarray(7_000),
      ],
      bodies: [`/slow${n} ${upload.toString()}`],
    }),
    clients: 32,
    thinkMsMax: 5,
  },
  'half-written heads': {
    make: (n) => ({ pieces: [`GET /${n} HT`, 'TP/1.1\r\nHost: a', 'ny\r\n\r\n'], bodies: [`/${n} `] }),
    clients: 32,
    thinkMsMax: 5,
  },
  'pipelining, four deep': {
    make: (n) => ({
      pieces: [get(`/slow${n}`), get('/2') + get('/3').slice(0, 9), get('/3').slice(9) + get('/slow4')],
      bodies: [`/slow${n} `, '/2 ', '/3 ', '/slow4 '],
    }),
    clients: 32,
    thinkMsMax: 5,
  },
  'slow 3 MB downloads': {
    make: () => ({ pieces: [get('/big')], bodies: [Buffer.alloc(3 * 1_048_576, 'b')] }),
    clients: 8,
    thinkMsMax: 0,
    pauseMs: 1,
  },
};

for (const [name, load] of Object.entries(loads)) {
  test(`a reload loses nothing of ${name}`, async (t) => {
    const run = await reloads(t, load, (old, heir, supervisor, listener) => {
      supervisor.introduce(old, heir);
      old.drain({ handOver: true, stopAccepting: [listener] });
      return old.until('drained');
    });
    assert.deepEqual(run.lost, []);
    assert.equal(run.connections, load.clients, 'no client saw its connection end');
    assert.equal(run.handedOver, load.clients * RELOADS);
    t.diagnostic(`${run.answered} answers, ${run.handedOver} connections handed over, ${run.lost.length} lost`);
  });
}

test('the same clients lose requests when a worker just ends', async (t) => {
  const run = await reloads(t, loads['pipelining, four deep']!, async (old) => {
    await old.kill();
    return null;
  });
  assert.notEqual(run.lost.length, 0);
  t.diagnostic(`${run.answered} answers, ${run.lost.length} lost`);
});

type Replace = (
  old: Worker,
  heir: Worker,
  supervisor: FakeSupervisor,
  listener: string,
) => Promise<{ counts: { handedOver: number } } | null>;

async function reloads(t: TestContext, load: Load, replace: Replace) {
  const supervisor = FakeSupervisor.for(t);
  let worker = supervisor.spawn(fixture('worker/echo.cjs'), { env: { PORT: '0' } });
  const port = await worker.port();
  const { listener } = await worker.until('listening');
  const clients = Array.from({ length: load.clients }, () => new LoadClient(port, load));
  // Both workers accept from the one socket: everybody is with the old one before there is a new one.
  await everyone(clients, REQUESTS_BETWEEN);
  let handedOver = 0;
  for (let generation = 2; generation <= RELOADS + 1; generation++) {
    const heir = supervisor.spawn(fixture('worker/echo.cjs'), { env: { PORT: String(port) }, generation });
    await heir.until('listening');
    const replaced = await replace(worker, heir, supervisor, listener);
    handedOver += replaced?.counts.handedOver ?? 0;
    await worker.kill();
    worker = heir;
    await everyone(clients, REQUESTS_BETWEEN);
    const strangers = clients.filter((client) => client.lastPid !== heir.process.pid).length;
    assert.equal(strangers, 0, 'everyone is served by the new worker');
  }
  for (const client of clients) client.stop();
  await Promise.all(clients.map((client) => within(client.done, 'the end of a client')));
  return {
    lost: clients.flatMap(({ lost }) => lost),
    answered: clients.reduce((sum, { answered }) => sum + answered, 0),
    connections: clients.reduce((sum, { connections }) => sum + connections, 0),
    handedOver,
  };
}

/** Resolves when every client has had that many more answers. */
async function everyone(clients: readonly LoadClient[], more: number): Promise<void> {
  await Promise.all(clients.map((client) => within(client.more(more), `${more} more answers for each client`)));
}

class LoadClient {
  readonly #client: KeepAliveClient;
  readonly #load: Load;
  readonly done: Promise<void>;
  readonly lost: string[] = [];
  #isStopped = false;
  #waiting: { left: number; resolve: () => void } | null = null;
  answered = 0;
  lastPid = 0;

  constructor(port: number, load: Load) {
    this.#client = new KeepAliveClient(port, load.pauseMs);
    this.#load = load;
    this.done = this.#run();
  }

  get connections(): number {
    return this.#client.connections;
  }

  stop(): void {
    this.#isStopped = true;
  }

  more(left: number): Promise<void> {
    return new Promise((resolve) => (this.#waiting = { left, resolve }));
  }

  async #run(): Promise<void> {
    for (let n = 0; !this.#isStopped; n++) {
      const { pieces, bodies } = this.#load.make(n);
      try {
        const answers = await this.#client.ask(pieces, bodies.length, () => pause(Math.random() * 4));
        for (const [index, { status, body }] of answers.entries()) {
          assert.equal(status, 200);
          assert.ok(body.equals(Buffer.from(bodies[index] ?? '')), `answer ${index} of request ${n} is not what it should be`);
        }
        this.answered += answers.length;
        this.lastPid = Number(/^x-pid: (\d+)/im.exec(answers.at(-1)!.head)?.[1]);
      } catch (error) {
        this.lost.push(`request ${n}: ${(error as Error).message}`);
        this.#client.close();
      }
      if (this.#waiting !== null && --this.#waiting.left === 0) this.#waiting.resolve();
      if (this.#load.thinkMsMax > 0) await pause(Math.random() * this.#load.thinkMsMax);
    }
    this.#client.close();
  }
}
