/**
 * A connection of our own, given to one very worker over a hand-over pair, as an older worker gives its own (worker/handover.ts). Where the
 * kernel cannot steer, and for an address that a worker bound itself, it is the way to be sure who answers a probe.
 */
import { once } from 'node:events';
import { connect, createServer, Socket, type AddressInfo } from 'node:net';
import type { Env, Timer } from '../env.ts';
import type { HandOver } from '../protocol/worker-wire.ts';
import type { WorkerHandle } from './worker-handle.ts';

export interface Injection {
  readonly env: Env;
  readonly worker: WorkerHandle;
  /** Of the worker's server: the listener's key, or the address that it bound itself. */
  readonly key: string;
  /** Whose address the app sees: one of this host; null for a Unix socket, where there is none to see. */
  readonly host: string | null;
  readonly withinMs: number;
}

/** The client's end; the worker has the other. Rejects with why it has not, in words. */
export async function injectConnection(order: Injection): Promise<Socket> {
  const [client, fd] = order.host === null ? pathPair(order.env) : await loopbackPair(order.env, order.host, order.withinMs);
  client.on('error', () => {}); // whoever uses it hears of it by its own listener
  try {
    await giveTo(order, fd);
    return client;
  } catch (error) {
    client.destroy();
    throw error;
  } finally {
    order.env.native.closeFd(fd);
  }
}

/** Resolves when the worker has it. */
async function giveTo({ env, worker, key, withinMs }: Injection, fd: number): Promise<void> {
  const { native } = env;
  const [ours, theirs] = native.socketPair('seqpacket');
  const wire = new native.PacketSocket(ours);
  const taken = new Promise<boolean>((resolve, reject) => {
    const timer = env.after(withinMs, () => reject(new Error(`its worker did not take the connection within ${withinMs} ms`)));
    const answered = (isTaken: boolean): void => {
      timer.cancel();
      resolve(isTaken);
    };
    wire.start(
      (text, fds) => {
        for (const surplus of fds) native.closeFd(surplus);
        answered(saysTaken(text));
      },
      () => answered(false),
    );
  });
  taken.catch(() => {}); // nobody waits for it when it could not even be sent
  try {
    worker.sendPeer({ t: 'inherit' }, theirs);
    native.closeFd(theirs);
    wire.send(JSON.stringify({ t: 'conns', listener: key } satisfies HandOver), [fd]);
    if (!(await taken)) throw new Error('its worker takes no connection that is handed to it; only a server in its main thread can');
  } finally {
    wire.close();
  }
}

/** A worker may send anything. */
function saysTaken(text: string): boolean {
  try {
    return (JSON.parse(text) as { t?: unknown }).t === 'taken';
  } catch {
    return false;
  }
}

function pathPair({ native }: Env): [Socket, number] {
  const [ours, theirs] = native.socketPair('stream');
  return [new Socket({ fd: ours, readable: true, writable: true }), theirs];
}

/** The accepted end as a bare descriptor, the caller's. Rejects as listen(2) and connect(2) say. */
async function loopbackPair({ native, after }: Env, host: string, withinMs: number): Promise<[Socket, number]> {
  const server = createServer({ pauseOnConnect: true }).listen({ host, port: 0 });
  let timer: Timer | null = null;
  try {
    await once(server, 'listening');
    const client = connect({ host, port: (server.address() as AddressInfo).port });
    // A host may drop what it sends to itself.
    timer = after(withinMs, () => client.destroy(new Error(`no connection to ${host} within ${withinMs} ms`)));
    const accepted = new Promise<number>((resolve, reject) => {
      client.once('error', reject).once('close', () => reject(new Error(`a connection to ${host} was closed at once`)));
      server.on('connection', (socket: Socket & { _handle: { fd: number } }) => {
        // Anybody of this host may find the port.
        if (socket.remotePort === client.localPort) resolve(native.duplicate(socket._handle.fd));
        socket.destroy();
      });
    });
    return [client, await accepted];
  } finally {
    timer?.cancel();
    server.close();
  }
}
