/**
 * Joins what covet-init says of workers to their handles, by key, and lets go of a record once its end was acted on.
 */
import type { InitClient } from '../init/init-client.ts';
import type { StateRecord } from '../init/state.ts';
import type { WorkerHandle } from './worker-handle.ts';

export class WorkerTable {
  readonly #init: InitClient;
  readonly #handles = new Map<string, WorkerHandle>();
  /** What was told before the workers of another supervisor were adopted, in order; null from then on. */
  #early: (() => void)[] | null = [];

  constructor(init: InitClient, closeFd: (fd: number) => void) {
    this.#init = init;
    const told = (act: () => void): void => void (this.#early === null ? act() : this.#early.push(act));
    init.on('running', ({ key, pid, start, pidfd }) =>
      told(() => {
        const handle = this.#handles.get(key);
        // Told twice of a worker that began to run just before covet-init was greeted.
        if (handle === undefined || handle.pid !== 0) closeFd(pidfd);
        else handle.running(pid, start, pidfd);
      }),
    );
    init.on('failed', ({ key, stage, errno }) => told(() => this.#finish(key, (handle) => handle.failed(describeFailure(stage, errno)))));
    init.on('exited', ({ key, status }) => told(() => this.#finish(key, (handle) => handle.exited(status))));
  }

  /** Every worker there is has its handle: what was told of them meanwhile is told on. */
  begin(): void {
    const early = this.#early ?? [];
    this.#early = null;
    for (const act of early) act();
  }

  add(handle: WorkerHandle): void {
    this.#handles.set(handle.key, handle);
  }

  /** Every worker, for a covet-init that has to be told. */
  records(): StateRecord[] {
    return [...this.#handles.values()].flatMap((handle) => handle.record() ?? []);
  }

  /** A process said READY=1: whether it is a worker, which then knows. */
  saidReady(pid: number): boolean {
    const handle = [...this.#handles.values()].find((each) => each.pid === pid);
    handle?.saidReady();
    return handle !== undefined;
  }

  /** It never came to a record in covet-init. */
  remove(handle: WorkerHandle): void {
    this.#handles.delete(handle.key);
  }

  #finish(key: string, tell: (handle: WorkerHandle) => void): void {
    const handle = this.#handles.get(key);
    this.#handles.delete(key);
    if (handle !== undefined) tell(handle);
    // Only now: a supervisor that died before it acted would hear of it again.
    this.#init.request('forget', { key }).catch(() => {}); // gone with covet-init itself, then there is nothing to forget
  }
}

/** Goes on after the worker's name, as `exited with code 1` does. */
function describeFailure(stage: string, errno: number): string {
  return `could not be started: ${failureOf(stage, errno)}`;
}

function failureOf(stage: string, errno: number): string {
  if (stage === 'exec' && errno === 2) return 'the program does not exist, or its interpreter does not';
  if (stage === 'exec' && errno === 13) return 'the program may not be executed by that user';
  if (stage === 'chdir') return `its working directory cannot be entered (errno ${errno})`;
  return stage === 'spawn' ? 'covet-exec ended before the program ran' : `setting it up failed at ${stage} (errno ${errno})`;
}
