/**
 * Keeps connections from beginning on a reuseport group without closing a socket of it: the guard gets a queue of one place, a connection
 * of our own takes it, and from then on the program may send every SYN to the guard, for the kernel drops those that find a full queue.
 * Their clients try again after a second. (A filter that drops SYNs would do, too, but takes a privilege; seen on Linux 6.18.)
 */
import { connect, type Socket } from 'node:net';
import type { Env } from '../env.ts';
import { loopbackOf, type Address } from '../protocol/address.ts';

/** Beside the ports of probes (slots/probe.ts), and below ip_local_port_range as well. */
const PORT_FIRST = 31_600;
const PORTS = 40;
const CONNECT_MS = 1_000;
let nextPort = 0;

/**
 * `steer` has connections from that loopback port go to the guard. Resolves with what holds the place, until it is destroyed; with null
 * when it did not get there.
 */
export async function plugGuard(
  { native }: Env,
  guard: number,
  address: Address & { kind: 'tcp' },
  steer: (port: number) => void,
): Promise<Socket | null> {
  native.listenAgain(guard, 0);
  const localPort = PORT_FIRST + (nextPort++ % PORTS);
  steer(localPort);
  const plug = connect({ ...loopbackOf(address), port: address.port, localPort });
  const isConnected = await new Promise<boolean>((resolve) => {
    plug.once('connect', () => resolve(true));
    plug.on('error', () => resolve(false));
    plug.setTimeout(CONNECT_MS, () => resolve(false));
  });
  plug.setTimeout(0);
  if (isConnected && native.queueState(guard).depth > 0) return plug.unref();
  plug.destroy();
  return null;
}
