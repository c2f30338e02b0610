/**
 * Asks one very worker over its app's own port: the kernel steers connections from a reserved loopback source port to that worker's socket
 * (listener.ts, SPINE 6), so that the answer is the new build's and not its neighbour's.
 */
import { request } from 'node:http';
import { loopbackOf, type Address } from '../listeners/address.ts';
import type { Half, Listener } from '../listeners/listener.ts';
import type { AppConfig } from '../protocol/config.ts';

type ProbeConfig = NonNullable<AppConfig['probe']>;

/** Below ip_local_port_range (32768), so never the port of a real client of this host. */
const PROBE_PORT_FIRST = 31_555;
const PROBE_PORTS = 40;
let nextPort = 0;

/** null when the worker answered as it should; else why not, in words. */
export async function probeWorker(listener: Listener, slot: number, half: Half, probe: ProbeConfig): Promise<string | null> {
  const { address } = listener;
  if (address.kind !== 'tcp') return null; // a Unix path is one socket for all: it cannot be aimed
  const port = PROBE_PORT_FIRST + (nextPort++ % PROBE_PORTS);
  let outcome: string | null = null;
  const steered = await listener.steered(slot, half, port, async () => {
    outcome = await ask(address, port, probe);
  });
  return steered ? outcome : null;
}

function ask(address: Address & { kind: 'tcp' }, localPort: number, probe: ProbeConfig): Promise<string | null> {
  return new Promise((resolve) => {
    const asked = request({
      ...loopbackOf(address),
      port: address.port,
      path: probe.path,
      localPort,
      agent: false,
      headers: { 'user-agent': 'covet-pm probe' },
    });
    const timer = setTimeout(() => asked.destroy(new Error(`no answer within ${probe.timeoutMs} ms`)), probe.timeoutMs);
    const finish = (outcome: string | null): void => {
      clearTimeout(timer);
      // RST: no TIME_WAIT stands in the way of the next probe from this port.
      asked.socket?.resetAndDestroy();
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
