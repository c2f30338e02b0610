/**
 * An embedded supervisor: `new Supervisor()` in your own program. It starts covet-init as its child over a socket pair and is itself the
 * supervisor; when the program goes, covet-init drains and ends the workers.
 */
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { binary } from '../native/index.ts';
import { realEnv } from './env.ts';
import { makeFolder } from './host/folders.ts';
import { HANDLERS, type OperationContext } from './operations/handlers.ts';
import { parseInput } from './operations/input.ts';
import { callInput, isSubscription, type CallInput, type CallName, type Calls } from './protocol/calls.ts';
import { CovetError, nativePart, nearMatch } from './protocol/errors.ts';
import { OPERATIONS, type OperationName, type OperationResults } from './protocol/operations.ts';
import { SupervisorCore } from './supervisor.ts';

export interface SupervisorOptions {
  /** Where state and logs lie; by default a new folder in the system's temporary one, which close() removes. */
  readonly home?: string;
}

export interface EmbeddedCallOptions {
  /** What a long operation says before it answers. */
  readonly onProgress?: ((text: string) => void) | undefined;
}

class EmbeddedSupervisor {
  readonly #core: SupervisorCore;
  readonly #ready: Promise<void>;
  /** covet-init is gone; no worker's end is told after it. */
  readonly #gone: Promise<void>;
  readonly #temporary: string | null;
  #closed: Promise<void> | null = null;

  /** Starts covet-init; every call waits until it answers. Throws COVET_ERR_NATIVE_MISSING when there is none for this machine. */
  constructor(options: SupervisorOptions = {}) {
    const init = nativePart(() => binary('covet-init'));
    const home = options.home ?? mkdtempSync(join(tmpdir(), 'covet-'));
    this.#temporary = options.home === undefined ? home : null;
    const env = nativePart(() => realEnv({ ...process.env, COVET_HOME: home, COVET_RUN_TEMP: options.home === undefined ? '1' : '0' }));
    // As the command line does it: workers of other users pass through root's home.
    makeFolder(home, env.uid === 0 ? 0o711 : 0o700);
    if (env.uid === 0 && this.#temporary !== null) chmodSync(home, 0o711);
    for (const folder of [env.paths.run, env.paths.state, env.paths.logs]) makeFolder(folder, 0o700);
    const [ours, theirs] = env.native.socketPair('seqpacket');
    const child = spawn(init, ['--supervisor-fd', '3', '--lock', env.paths.lock], {
      stdio: ['ignore', 'inherit', 'inherit', theirs],
      detached: true,
    });
    child.unref();
    const refused = new Promise<never>((_, reject) => {
      child.once('error', (error) => {
        reject(new CovetError('COVET_ERR_SUPERVISOR_START', { reason: `covet-init: ${error.message}` }, { cause: error }));
      });
    });
    env.native.closeFd(theirs);
    this.#core = new SupervisorCore(env, ours);
    this.#gone = new Promise((resolve) => this.#core.init.once('end', resolve));
    this.#ready = child.pid === undefined ? refused : this.#core.recover();
    this.#ready.catch(() => {}); // told to each caller
  }

  /** Any operation of the table by name. Throws CovetError. */
  async call<N extends CallName>(name: N, input: CallInput<N>, progress: (text: string) => void = () => {}): Promise<OperationResults[N]> {
    await this.#ready;
    if (!Object.hasOwn(HANDLERS, name))
      throw new CovetError('COVET_ERR_CONTROL_METHOD', { got: name, near: nearMatch(name, Object.keys(HANDLERS)) });
    const parsed = parseInput(name, callInput(name, input, process.env));
    const handler = HANDLERS[name] as (context: OperationContext, input: unknown) => Promise<OperationResults[N]>;
    return handler({ core: this.#core, progress }, parsed);
  }

  /** Each event, as it happens; the answer stops it. */
  onEvent(told: (event: OperationResults['events']) => void): () => void {
    this.#core.events.on('event', told);
    return () => this.#core.events.off('event', told);
  }

  /** Drains and ends every app, and covet-init. Without a covet-init to end there is nothing to wait for. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    await Promise.race([this.#gone, this.#end()]);
    // Where covet-init was killed nobody ends the workers but they themselves, once they were told to drain.
    await this.#core.drainsBegun();
    this.#core.logs.end();
    this.#core.init.close();
    if (this.#temporary !== null) rmSync(this.#temporary, { recursive: true, force: true });
  }

  async #end(): Promise<void> {
    await this.#ready.catch(() => {}); // told to each caller; a covet-init may be there all the same
    await this.#core.stopAll('the embedding program closes');
    try {
      this.#core.init.tell('quit', { code: '0' });
    } catch {
      // it is gone already, and its wire is about to say so
    }
    await this.#gone;
  }
}

/** With the operations as methods, as the typed client has them; events come by onEvent. */
export type Supervisor = EmbeddedSupervisor & Calls<EmbeddedCallOptions>;
export const Supervisor = EmbeddedSupervisor as new (options?: SupervisorOptions) => Supervisor;

for (const name of Object.keys(OPERATIONS) as OperationName[]) {
  if (isSubscription(name)) continue;
  const value = function (this: EmbeddedSupervisor, input = {}, { onProgress }: EmbeddedCallOptions = {}): Promise<unknown> {
    return this.call(name, input, onProgress);
  };
  Object.defineProperty(EmbeddedSupervisor.prototype, name, { value, configurable: true, writable: true });
}
