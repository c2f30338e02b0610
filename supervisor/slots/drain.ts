/**
 * How a worker leaves (DESIGN §5): it is out of the set already; its queue is emptied by itself; then its idle HTTP/1 connections go to
 * an heir and the rest finishes. The worker does the second half (worker/drain.ts) and says `drained`.
 */
import type { Env } from '../env.ts';
import type { Half, Listener } from '../listeners/listener.ts';
import { queuesEmptied } from '../listeners/queue-look.ts';
import type { AppConfig } from '../protocol/config.ts';
import type { DrainCounts } from '../protocol/worker-wire.ts';
import type { WorkerHandle } from './worker-handle.ts';

export interface DrainOrder {
  readonly env: Env;
  readonly config: AppConfig;
  readonly worker: WorkerHandle;
  readonly hasChannel: boolean;
  readonly listeners: readonly Listener[];
  readonly slot: number;
  readonly half: Half;
  readonly heir: WorkerHandle | null;
  readonly mustStopAccepting: boolean;
  /** Listeners that nobody will serve: it stops accepting there in any case. */
  readonly left: { has(listener: Listener): boolean };
  /** Of a stop: resolves when all workers have emptied their queues, and no connection comes into them any more. */
  readonly allEmptied: Promise<void>;
  /** Resolves when the worker said `drained`, or with null when it ended. */
  readonly drained: Promise<DrainCounts | null>;
}

/** Resolves with what the worker counted, or null when it has no preload, or ended before it told. */
export async function drainWorker(order: DrainOrder): Promise<DrainCounts | null> {
  const { env, config, worker } = order;
  if (env.faults.has('no-drain')) return null;
  const deadline = env.nowMs() + config.drainTimeoutMs;
  if (order.mustStopAccepting) await order.allEmptied;
  else await queueEmptied(order, deadline);
  if (!order.hasChannel) return null;
  if (order.heir !== null) introduce(env, worker, order.heir);
  worker.send({
    t: 'drain',
    deadlineMs: Math.max(0, Math.round(deadline - env.nowMs())),
    idleGraceMs: config.idleGraceMs ?? null,
    handOver: config.handOver && order.heir !== null,
    stopAccepting: order.listeners
      .filter((listener) => order.mustStopAccepting || order.left.has(listener) || listener.isPassedOn(order.slot))
      .map((listener) => listener.key),
  });
  // After `drain`, which sees to it that an app which closes its server now cuts nobody.
  worker.send({ t: 'message', data: 'shutdown' });
  return order.drained;
}

/** Gives the two workers a pair of their own: connections pass between them and nowhere else. */
function introduce(env: Env, old: WorkerHandle, heir: WorkerHandle): void {
  const [ours, theirs] = env.native.socketPair('seqpacket');
  heir.sendPeer({ t: 'inherit' }, theirs);
  old.sendPeer({ t: 'heir' }, ours);
  env.native.closeFd(ours);
  env.native.closeFd(theirs);
}

function queueEmptied({ env, listeners, slot, half, worker }: DrainOrder, deadlineMs: number): Promise<void> {
  const own = listeners.filter((listener) => listener.dispatch === 'bpf');
  return queuesEmptied(env, deadlineMs, () => (worker.isAlive ? own.map((listener) => listener.queued(slot, half) ?? 0) : []));
}
