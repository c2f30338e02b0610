/**
 * What an app of node:cluster sees in cluster mode: it is a worker. Node's own child half of the module is loaded (as
 * NODE_UNIQUE_ID makes it do), so the shape is Node's on every version; only what it would ask a primary is answered here.
 *
 * A server goes the same way as without cluster, for listen() ends in the one seam (listen.ts). So does a datagram socket (bind.ts).
 */
import type { Worker } from 'node:cluster';
import { Server } from 'node:net';
import type { Ipc } from './ipc.ts';
import { makeUdpHandle, udpHandleOf, type SetUpListen, type UdpHandle } from './node-internals.ts';
import { say } from './say.ts';
import type { Serving } from './serving.ts';

const ENOTSUP = 95; // errno(3) on Linux; node:os is not loaded for it before every app

/** What net and dgram ask a primary for. */
interface ServerQuery {
  readonly address: string | null;
  readonly port: number | null;
  readonly addressType: number | string | null;
  readonly fd?: number | null;
  readonly flags?: number;
  readonly backlog?: number;
}

interface ClusterChild {
  isPrimary: boolean;
  isMaster: boolean;
  isWorker: boolean;
  worker: Worker | null;
  readonly Worker: new (options: { id: number; state: string }) => Worker & { state: string };
  _getServer(owner: object, query: ServerQuery, done: (error: number, handle?: UdpHandle) => void): void;
}

export function installClusterFacade(slot: number, ipc: Ipc, serving: Serving): void {
  const cluster = loadChildHalf();
  if (!cluster.isWorker) return say('node:cluster was loaded before covet-pm: the app sees a primary, ignoring');
  const worker = new cluster.Worker({ id: slot + 1, state: 'online' });
  cluster.worker = worker;
  cluster._getServer = (owner, query, done) => {
    worker.state = 'listening';
    if (owner instanceof Server) setUp(owner, query);
    else bind(owner, query, done);
  };
  giveManners(worker, ipc, serving);
}

function loadChildHalf(): ClusterChild {
  process.env['NODE_UNIQUE_ID'] = '1';
  try {
    return process.getBuiltinModule('node:cluster') as unknown as ClusterChild;
  } finally {
    delete process.env['NODE_UNIQUE_ID'];
  }
}

function setUp(server: Server, { address, port, addressType, backlog, fd, flags }: ServerQuery): void {
  (server as Server & { _listen2: SetUpListen })._listen2(address, port, addressType as number, backlog, fd, flags);
}

/** As without cluster, but on a fresh handle, for a primary's answer to dgram is always another handle. */
function bind(socket: object, { address, port, fd, flags }: ServerQuery, done: (error: number, handle?: UdpHandle) => void): void {
  const own = udpHandleOf(socket);
  if (own === null) return done(-ENOTSUP);
  const handle = makeUdpHandle(own);
  const isOpen = typeof fd === 'number' && fd >= 0;
  const error = isOpen ? handle.open(fd) : own.bind.call(handle, address ?? '', port ?? 0, flags ?? 0);
  if (error === 0) return done(0, handle);
  handle.close();
  done(error);
}

/** cluster.worker's methods, as the cluster documentation has them for a worker's side. */
function giveManners(worker: Worker & { state: string }, ipc: Ipc, { servers, datagrams }: Serving): void {
  const leave = () => {
    worker.exitedAfterDisconnect = true;
    if (ipc.isConnected) ipc.disconnect();
  };
  Object.assign(worker, {
    process,
    exitedAfterDisconnect: undefined,
    send: (...args: unknown[]) => (process.send as (...args: unknown[]) => boolean)(...args),
    isConnected: () => ipc.isConnected,
    isDead: () => false,
    disconnect: () => {
      worker.state = 'disconnecting';
      for (const { server } of [...servers.listening]) server.close();
      for (const socket of datagrams.sockets) socket.close();
      leave();
      return worker;
    },
    kill: () => {
      worker.state = 'destroying';
      if (!ipc.isConnected) process.exit(0);
      process.once('disconnect', () => process.exit(0));
      leave();
    },
  });
  Object.assign(worker, { destroy: worker.kill });
  ipc.onDelivered = (data) => void worker.emit('message', data, undefined);
  ipc.onDisconnected = () => void worker.emit('disconnect');
}
