/**
 * What the preload shows an app: one object under a global symbol, which sdk.ts turns into functions. The only trace in the app's world.
 */
const FACE = Symbol.for('covet-pm.worker');

export interface WorkerInfo {
  readonly app: string;
  /** Counts from 0; the seat outlives this process. */
  readonly slot: number;
  /** Raised by each reload. */
  readonly generation: number;
}

export interface DrainContext {
  /** Milliseconds until open connections are cut and the worker is told to stop. */
  readonly deadlineMs: number;
  /** Aborted at the deadline. */
  readonly signal: AbortSignal;
}

export type DrainHook = (context: DrainContext) => void | Promise<void>;

export interface WorkerFace {
  readonly info: WorkerInfo;
  readonly hooks: Set<DrainHook>;
  ready(): boolean;
}

export function showFace(face: WorkerFace): void {
  Object.defineProperty(globalThis, FACE, { value: face });
}

export function findFace(): WorkerFace | null {
  return (globalThis as { [FACE]?: WorkerFace })[FACE] ?? null;
}
