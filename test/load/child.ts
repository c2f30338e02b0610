/**
 * The load process: runs clients on a loop of its own, told over IPC. `start` begins one, `await` answers after so many further
 * answers, `stop` lets it finish what it has in hand and answers with its tally, `peek` with the tally so far.
 */
import { setMaxListeners } from 'node:events';
import { agent } from './clients/agent.ts';
import { halfHead } from './clients/half-head.ts';
import { http2Client } from './clients/http2.ts';
import { keepAlive } from './clients/keep-alive.ts';
import { reconnect } from './clients/reconnect.ts';
import { slowDownload } from './clients/slow-download.ts';
import { sse } from './clients/sse.ts';
import { undici, undiciPipelining } from './clients/undici.ts';
import { upload } from './clients/upload.ts';
import { websocket } from './clients/websocket.ts';
import type { ClientKind, LoadOptions } from './options.ts';
import { type Client, newRun } from './run.ts';
import { Counter, type Tally } from './tally.ts';

export type Order =
  | { readonly do: 'start'; readonly id: number; readonly options: LoadOptions }
  | { readonly do: 'await'; readonly id: number; readonly ask: number; readonly answers: number }
  | { readonly do: 'peek' | 'stop'; readonly id: number; readonly ask: number };
export type Report = { readonly ready: true } | { readonly ask: number; readonly tally: Tally } | { readonly failed: string };

const CLIENTS: Readonly<Record<ClientKind, Client>> = {
  reconnect,
  keepAlive,
  agent,
  undici,
  undiciPipelining,
  halfHead,
  upload,
  slowDownload,
  http2: http2Client,
  websocket,
  sse,
};

interface Running {
  readonly counter: Counter;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

const running = new Map<number, Running>();

process.on('message', (order: Order) => {
  void carryOut(order).catch((error: unknown) => say({ failed: error instanceof Error ? (error.stack ?? error.message) : String(error) }));
});
process.on('disconnect', () => process.exit(0));
say({ ready: true });

async function carryOut(order: Order): Promise<void> {
  if (order.do === 'start') {
    const counter = new Counter(order.options.kind);
    const stop = new AbortController();
    setMaxListeners(0, stop.signal); // one a connection that pauses
    const done = CLIENTS[order.options.kind](newRun(order.options, counter, stop.signal));
    // A client that fails, which is a fault of its own and not a loss, must not wait to be asked.
    done.catch((error: unknown) =>
      say({ failed: `${order.options.kind}: ${error instanceof Error ? (error.stack ?? '') : String(error)}` }),
    );
    running.set(order.id, { counter, stop, done });
    return;
  }
  const client = running.get(order.id);
  if (client === undefined) throw new Error(`Expected a running client, got ${order.id}`);
  if (order.do === 'await') await client.counter.waitFor(order.answers);
  if (order.do === 'stop') {
    client.stop.abort();
    await client.done;
    running.delete(order.id);
  }
  say({ ask: order.ask, tally: client.counter.tally() });
}

function say(report: Report): void {
  process.send?.(report);
}
