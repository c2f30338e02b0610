/**
 * The preload of a Node worker: `node --require …/dist/preload.cjs app.js`. Runs before the app's first line, leaves no trace in its
 * environment, and never breaks it: whatever goes wrong in here is one line on stderr, and the app runs on as under plain node.
 *
 *   boot (who am I) ─► main thread: channel, IPC, signals, cluster facade ─┬─► serving: listen on lent sockets, connections, drain
 *                      worker thread: reports through the main thread ─────┘
 */
import { join } from 'node:path';
import { native } from '../native/index.ts';
import type { WorkerBoot } from '../supervisor/protocol/worker-wire.ts';
import { takeBoot, type Boot } from './boot.ts';
import { MainThread } from './main-thread.ts';
import { guarded, say } from './say.ts';
import { Serving, type Wires } from './serving.ts';
import { ThreadReport } from './threads.ts';

/** 0 to 2 are the app's. */
const FIRST_INHERITED_FD = 3;

function start(): void {
  const taken = takeBoot(join(import.meta.dirname, 'preload.cjs'));
  if (taken === null) return;
  const wires = openWires(taken);
  if (taken.isMainThread) new MainThread(taken.boot, wires).start();
  else startThread(taken.boot, wires);
}

/** Without the addon, or the hand-off, there is still the channel. */
function openWires({ boot, isMainThread }: Boot): Wires | null {
  try {
    const addon = native();
    // Node's own sweep ends at the first hole: nothing of ours may reach the app's children.
    addon.setCloexecFrom(FIRST_INHERITED_FD);
    if (isMainThread) addon.leaveForThreads(JSON.stringify(boot));
    return { native: addon, handoff: new addon.PacketSocket(isMainThread ? boot.handoff : addon.duplicate(boot.handoff)) };
  } catch (error) {
    say(`no socket can be lent (${error instanceof Error ? error.message : String(error)}): this app binds its own addresses, ignoring`);
    return null;
  }
}

function startThread(boot: WorkerBoot, wires: Wires | null): void {
  const report = new ThreadReport({
    onDrain: (order) => serving.isDraining || serving.drain(order, (counts) => report.tell({ t: 'drained', counts })),
    onTake: () => serving.datagrams.take(),
    onWho: () => serving.tellListening(),
    onStandIn: (notice, fd) => serving.standIn(notice, fd),
  });
  const serving = new Serving(boot, wires, report);
  serving.start();
}

guarded('the preload', start, undefined);
