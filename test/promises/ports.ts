/**
 * A port, and the nine above it, that nobody listens on now and the kernel gives to nobody by itself: from below
 * ip_local_port_range, so that no client's own port is ever in the way. Each process draws from a share of its own, for test files run beside
 * each other and between the look and the app's listen() is a moment.
 */
import net from 'node:net';

const FIRST = 10_000;
const LAST = 30_000;
const STEP = 10;
const SHARES = 20;

/** The last ones: such a port may be free because its app has yet to start. */
const given: number[] = [];
const GIVEN_MAX = 20;

export async function freePort(): Promise<number> {
  for (;;) {
    const rows = (LAST - FIRST) / STEP / SHARES;
    const port = FIRST + STEP * (Math.floor(Math.random() * rows) * SHARES + (process.pid % SHARES));
    if (given.includes(port) || !(await isFree(port))) continue;
    given.push(port);
    if (given.length > GIVEN_MAX) given.shift();
    return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = net.createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '::', () => server.close(() => resolve(true)));
  });
}
