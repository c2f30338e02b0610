/**
 * `covet-pm/worker`: what an app may ask of the worker it runs in. Nothing here is needed to run under covet-pm, and outside it everything
 * does nothing, so an app needs no second code path.
 *
 *   import { onDrain, ready, worker } from 'covet-pm/worker';
 *   onDrain(async ({ signal }) => queue.close({ signal }));
 *   ready();
 */
import { findFace, type DrainHook, type WorkerInfo } from './face.ts';

export type { DrainContext, DrainHook, WorkerInfo } from './face.ts';

/** This worker's app, slot and generation; null outside covet-pm. */
export const worker: WorkerInfo | null = findFace()?.info ?? null;

/**
 * Runs `hook` when this worker begins to drain: no new connections come, and what it has is being finished. The worker is told to stop
 * only when the hook is done, or the deadline has passed. A hook that throws is reported on stderr. Returns a function that takes the
 * hook back.
 */
export function onDrain(hook: DrainHook): () => void {
  const hooks = findFace()?.hooks;
  hooks?.add(hook);
  return () => void hooks?.delete(hook);
}

/** Says that this worker is ready, for apps with `readiness: 'signal'`; the same as process.send('ready'). False if nobody heard it. */
export function ready(): boolean {
  return findFace()?.ready() ?? false;
}
