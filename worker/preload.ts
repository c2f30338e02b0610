/**
 * The preload of a Node worker: `node --require …/dist/preload.cjs app.js`. Runs before the app's first line, leaves no trace in its
 * environment, and never breaks it: whatever goes wrong in here is one line on stderr, and the app runs on as under plain node.
 *
 *   boot (who am I) ─► main thread: channel, IPC, signals, cluster facade ─┬─► serving: listen on lent sockets, connections, drain
 *                      worker thread: reports through the main thread ─────┘
 */
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { native, type Native } from '../native/index.ts';
import type { WorkerBoot } from '../supervisor/protocol/worker-wire.ts';
import { takeBoot } from './boot.ts';
import { MainThread } from './main-thread.ts';
import { guarded, say } from './say.ts';
import { Serving, type Wires } from './serving.ts';
import { ThreadReport } from './threads.ts';

/** 0 to 2 are the app's. */
const FIRST_INHERITED_FD = 3;

function start(): void {
  const boot = takeBoot(join(import.meta.dirname, 'preload.cjs'));
  if (boot === null) return;
  const addon = loadAddon();
  if (isMainThread) startMainThread(boot, addon);
  else startThread(boot, addon);
}

function startMainThread(boot: WorkerBoot, addon: Native | null): void {
  // Node's own sweep ends at the first hole: nothing of ours may reach the app's children.
  addon?.setCloexecFrom(FIRST_INHERITED_FD);
  new MainThread(boot, addon === null ? null : { native: addon, handoff: new addon.PacketSocket(boot.handoff) }).start();
}

function startThread(boot: WorkerBoot, addon: Native | null): void {
  const wires: Wires | null = addon === null ? null : { native: addon, handoff: new addon.PacketSocket(addon.duplicate(boot.handoff)) };
  const report = new ThreadReport(
    (order) => serving.isDraining || serving.drain(order, (counts) => report.tell({ t: 'drained', counts })),
    () => serving.tellListening(),
  );
  const serving = new Serving(boot, wires, report);
  serving.start();
}

function loadAddon(): Native | null {
  try {
    return native();
  } catch (error) {
    say(`the addon does not load (${error instanceof Error ? error.message : String(error)}): this app binds its own addresses, ignoring`);
    return null;
  }
}

guarded('the preload', start, undefined);
