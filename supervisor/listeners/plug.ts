/**
 * Keeps connections from beginning on a reuseport group without closing a socket of it: the guard gets a queue of one place, a connection
 * of our own takes it, and from then on the program may send every SYN to the guard, for the kernel drops those that find a full queue.
 * Their clients try again after a second. (A filter that drops SYNs would do, too, but takes a privilege; seen on Linux 6.18.)
 */
import { connect, type TcpSocketConnectOpts } from 'node:net';
import type { Env } from '../env.ts';
import { addressKey, loopbackOf, type Address } from '../protocol/address.ts';

/** Beside the ports of probes (slots/probe.ts), and below ip_local_port_range as well. */
const PORT_FIRST = 31_600;
const PORTS = 40;
const CONNECT_MS = 1_000;
let nextPort = 0;

/** `steer` has connections from that loopback port go to the guard. Throws when none got there. */
export async function plugGuard(
  { native }: Env,
  guard: number,
  address: Address & { kind: 'tcp' },
  steer: (port: number) => void,
): Promise<void> {
  native.listenAgain(guard, 0);
  const isPlugged = (): boolean => native.queueState(guard).depth > 0;
  // By a supervisor before this one.
  if (isPlugged()) return;
  for (let tries = 1; ; tries++) {
    const localPort = PORT_FIRST + (nextPort++ % PORTS);
    steer(localPort);
    try {
      await visit({ ...loopbackOf(address), port: address.port, localPort });
      break;
    } catch (error) {
      // Somebody else's port.
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || tries === PORTS) throw error;
    }
  }
  if (!isPlugged()) throw new Error(`Expected a connection of our own to wait at the guard of ${addressKey(address)}, it went elsewhere`);
}

/** Connects and leaves: whoever is in a queue keeps his place there when he has gone. */
function visit(route: TcpSocketConnectOpts): Promise<void> {
  const socket = connect(route);
  return new Promise((resolve, reject) => {
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
    socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error(`Expected a connection to ${route.port} within ${CONNECT_MS} ms`)));
  });
}
