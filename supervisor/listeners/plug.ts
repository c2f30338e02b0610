/**
 * Keeps connections from beginning on a reuseport group without closing a socket of it: the guard gets a queue of one place, a connection
 * of our own takes it, and from then on the program may send every SYN to the guard, for the kernel drops those that find a full queue.
 * Their clients try again after a second. (A filter that drops SYNs would do, too, but takes a privilege; seen on Linux 6.18.)
 */
import { connect, type Socket, type TcpSocketConnectOpts } from 'node:net';
import type { Env } from '../env.ts';
import { addressKey, loopbackOf, type Address } from '../protocol/address.ts';

/** Beside the ports of probes (slots/probe.ts), and below ip_local_port_range as well. */
const PORT_FIRST = 31_600;
const PORTS = 40;
const CONNECT_MS = 1_000;
let nextPort = 0;

/**
 * `steer` has connections from that loopback port go to the guard. Resolves with what holds the place, until it is destroyed. Throws when it
 * did not get there.
 */
export async function plugGuard(
  { native }: Env,
  guard: number,
  address: Address & { kind: 'tcp' },
  steer: (port: number) => void,
): Promise<Socket> {
  native.listenAgain(guard, 0);
  for (let tries = 1; ; tries++) {
    const localPort = PORT_FIRST + (nextPort++ % PORTS);
    steer(localPort);
    try {
      const plug = await connected({ ...loopbackOf(address), port: address.port, localPort });
      if (native.queueState(guard).depth > 0) return plug;
      plug.destroy();
      throw new Error(`Expected a connection from port ${localPort} to wait at the guard of ${addressKey(address)}, it went elsewhere`);
    } catch (error) {
      // Somebody else's port.
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || tries === PORTS) throw error;
    }
  }
}

function connected(route: TcpSocketConnectOpts): Promise<Socket> {
  const socket = connect(route).unref();
  return new Promise((resolve, reject) => {
    socket.once('connect', () => {
      socket.setTimeout(0);
      resolve(socket);
    });
    // Later on: it is reset with the group.
    socket.on('error', reject);
    socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error(`Expected a connection to ${route.port} within ${CONNECT_MS} ms`)));
  });
}
