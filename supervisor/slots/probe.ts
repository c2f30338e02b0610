/**
 * Asks one very worker. The kernel steers connections from a reserved loopback source port to that worker's socket (listener.ts, SPINE 6), so
 * that the answer is the new build's and not its neighbour's; where it cannot, a worker with a preload is handed the connection.
 */
import { request, type RequestOptions } from 'node:http';
import type { Socket } from 'node:net';
import type { Env } from '../env.ts';
import type { Half, Listener } from '../listeners/listener.ts';
import { loopbackOf, parseListen } from '../protocol/address.ts';
import type { AppConfig } from '../protocol/config.ts';
import { injectConnection } from './injection.ts';
import type { WorkerHandle } from './worker-handle.ts';

type ProbeConfig = NonNullable<AppConfig['probe']>;

/** A server of a worker's. */
export interface ProbeTarget {
  /** As its preload knows it. */
  readonly key: string;
  /** Null where the worker bound the address by itself. */
  readonly listener: Listener | null;
}

export interface Probed {
  readonly env: Env;
  readonly worker: WorkerHandle;
  readonly slot: number;
  readonly half: Half;
}

/** Below ip_local_port_range (32768), so never the port of a real client of this host. */
const PROBE_PORT_FIRST = 31_555;
const PROBE_PORTS = 40;
let nextPort = 0;

/** null when the worker answered as it should; else why not, in words. */
export async function probeWorker(probed: Probed, target: ProbeTarget, probe: ProbeConfig): Promise<string | null> {
  const { key, listener } = target;
  const address = listener?.address ?? parseListen(key);
  if (address?.kind !== 'tcp') return askInjected(probed, { key, host: null }, {}, probe);
  const where = { host: loopbackOf(address).host, port: address.port };
  let outcome: string | null = null;
  const localPort = PROBE_PORT_FIRST + (nextPort++ % PROBE_PORTS);
  const isSteered = await listener?.steered(probed.slot, probed.half, localPort, async () => {
    // RST: no TIME_WAIT stands in the way of the next probe from this port.
    outcome = await ask({ ...loopbackOf(address), port: address.port, localPort, agent: false }, probe, (socket) =>
      socket.resetAndDestroy(),
    );
  });
  return isSteered === true ? outcome : askInjected(probed, { key, host: where.host }, where, probe);
}

async function askInjected(
  { env, worker }: Probed,
  server: { readonly key: string; readonly host: string | null },
  named: RequestOptions,
  probe: ProbeConfig,
): Promise<string | null> {
  try {
    const client = await injectConnection({ env, worker, ...server, withinMs: probe.timeoutMs });
    return await ask({ ...named, createConnection: () => client }, probe, (socket) => socket.destroy());
  } catch (error) {
    return `GET ${probe.path}: ${(error as Error).message}`;
  }
}

function ask(route: RequestOptions, probe: ProbeConfig, end: (socket: Socket) => void): Promise<string | null> {
  return new Promise((resolve) => {
    const asked = request({ ...route, path: probe.path, headers: { 'user-agent': 'covet-pm probe' } });
    const timer = setTimeout(() => asked.destroy(new Error(`no answer within ${probe.timeoutMs} ms`)), probe.timeoutMs);
    const finish = (outcome: string | null): void => {
      clearTimeout(timer);
      if (asked.socket !== null) end(asked.socket);
      resolve(outcome);
    };
    asked.on('response', (response) => {
      response.resume();
      const status = response.statusCode ?? 0;
      const isGood = probe.status.length > 0 ? probe.status.includes(status) : status >= 200 && status < 400;
      finish(isGood ? null : `GET ${probe.path} answered ${status}`);
    });
    asked.on('error', (error) => finish(`GET ${probe.path}: ${error.message}`));
    asked.end();
  });
}
