/**
 * Real HTTP clients through reloads with hand-over, on TCP and on a Unix path: no request fails. They retry nothing.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { Pool } from 'undici';
import { FakeSupervisor, fixture, within } from './harness.ts';

const RELOADS = 5;
const LANES = 16;
/** Of each lane, between two reloads. */
const REQUESTS = 10;

interface Client {
  /** The body of an answer; rejects when it fails in any way. */
  ask(method: 'GET' | 'POST', path: string, body: string): Promise<string>;
  close(): Promise<void>;
}

type Where = { readonly port: number } | { readonly socketPath: string };

function nodeAgent(where: Where): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: LANES });
  return {
    ask: async (method, path, body) => {
      const asked = request({ ...where, agent, method, path, headers: { 'content-length': Buffer.byteLength(body) } });
      asked.end(body);
      const [response] = (await once(asked, 'response')) as [IncomingMessage];
      let text = '';
      for await (const chunk of response) text += String(chunk);
      return text;
    },
    close: async () => agent.destroy(),
  };
}

function undici(where: Where, pipelining: number): Client {
  const pool = new Pool('http://localhost' + ('port' in where ? `:${where.port}` : ''), {
    connections: LANES / pipelining,
    pipelining,
    ...('port' in where ? {} : { socketPath: where.socketPath }),
  });
  return {
    ask: async (method, path, body) => {
      const { body: answer } = await pool.request({ method, path, ...(body === '' ? {} : { body }) });
      return answer.text();
    },
    close: () => pool.close(),
  };
}

const CLIENTS: Record<string, (where: Where) => Client> = {
  'http.Agent': nodeAgent,
  undici: (where) => undici(where, 1),
  'undici, pipelining four': (where) => undici(where, 4),
};

for (const kind of ['tcp', 'unix'] as const) {
  for (const [name, make] of Object.entries(CLIENTS)) {
    test(`${name} through ${RELOADS} reloads on ${kind}: no request fails`, async (t) => {
      const { where, reload } = await app(t, kind);
      const client = make(where);
      let answered = 0;
      const lane = async (number: number) => {
        for (let i = 0; i < REQUESTS; i++) {
          const [method, body] = i % 2 === 0 ? (['GET', ''] as const) : (['POST', 'x'.repeat(5_000)] as const);
          const path = `/${i % 3 === 0 ? 'slow' : ''}${number}-${i}`;
          assert.equal(await client.ask(method, path, body), `${path} ${body}`);
          answered++;
        }
      };
      let handedOver = 0;
      for (let i = 0; i < RELOADS; i++) {
        const lanes = Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)));
        handedOver += await reload();
        await within(lanes, 'every answer');
      }
      await client.close();
      assert.ok(handedOver > 0);
      t.diagnostic(`${answered} answers, ${handedOver} connections handed over, 0 failed`);
    });
  }
}

async function app(t: TestContext, kind: 'tcp' | 'unix') {
  const folder = mkdtempSync(join(tmpdir(), 'covet-clients-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const supervisor = FakeSupervisor.for(t);
  const spawn = (address: string, generation: number) =>
    supervisor.spawn(fixture('worker/echo.cjs'), { generation, env: { PORT: address } });
  let worker = spawn(kind === 'tcp' ? '0' : join(folder, 'app.sock'), 1);
  const { listener } = await worker.until('listening');
  const socketPath = join(folder, 'app.sock');
  const where: Where = kind === 'tcp' ? { port: await worker.port() } : { socketPath };
  const address = 'port' in where ? String(where.port) : socketPath;
  let generation = 1;
  const reload = async () => {
    const heir = spawn(address, ++generation);
    await heir.until('listening');
    supervisor.introduce(worker, heir);
    worker.drain({ handOver: true, stopAccepting: [listener] });
    const { counts } = await worker.until('drained');
    await worker.kill();
    worker = heir;
    return counts.handedOver;
  };
  return { where, reload };
}
