/**
 * An embedded supervisor: `new Supervisor()` in your own program. It starts covet-init as its child over a socket pair and is itself the
 * supervisor; when the program goes, covet-init drains and ends the workers.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { binary } from '../native/index.ts';
import { realEnv } from './env.ts';
import { HANDLERS, type OperationContext, type SubscriptionName } from './operations/handlers.ts';
import { OPERATIONS, type OperationInput, type OperationName, type OperationResults } from './protocol/operations.ts';
import { SupervisorCore } from './supervisor.ts';

export interface SupervisorOptions {
  /** Where state and logs lie; a new folder in the system's temporary one by default. */
  readonly home?: string;
}

export class Supervisor {
  readonly #core: SupervisorCore;
  readonly #ready: Promise<void>;

  /** Starts covet-init; every call waits until it answers. Throws when covet-init is missing for this machine. */
  constructor(options: SupervisorOptions = {}) {
    const home = options.home ?? mkdtempSync(join(tmpdir(), 'covet-'));
    const env = realEnv({ ...process.env, COVET_HOME: home });
    for (const folder of [home, env.paths.run, env.paths.state, env.paths.logs]) mkdirSync(folder, { recursive: true, mode: 0o700 });
    const [ours, theirs] = env.native.socketPair('seqpacket');
    const child = spawn(binary('covet-init'), ['--supervisor-fd', '3', '--lock', env.paths.lock], {
      stdio: ['ignore', 'inherit', 'inherit', theirs],
      detached: true,
    });
    child.unref();
    env.native.closeFd(theirs);
    this.#core = new SupervisorCore(env, ours);
    this.#ready = this.#core.recover();
    this.#ready.catch(() => {}); // told to each caller
  }

  /** Any operation of the table, as the typed client has them. Throws CovetError. */
  async call<N extends Exclude<OperationName, SubscriptionName>>(
    name: N,
    input: OperationInput<N>,
    progress: (text: string) => void = () => {},
  ): Promise<OperationResults[N]> {
    await this.#ready;
    const parsed = v.parse(OPERATIONS[name].input, input ?? {});
    const handler = HANDLERS[name] as (context: OperationContext, input: unknown) => Promise<OperationResults[N]>;
    return handler({ core: this.#core, progress }, parsed);
  }

  /** Each event, as it happens; the answer stops it. */
  onEvent(told: (event: OperationResults['events']) => void): () => void {
    this.#core.events.on('event', told);
    return () => this.#core.events.off('event', told);
  }

  /** Drains and ends every app, and covet-init. */
  async close(): Promise<void> {
    await this.#ready;
    await this.#core.stopAll('the embedding program closes');
    this.#core.logs.end();
    const ended = new Promise<void>((resolve) => this.#core.init.once('end', resolve));
    this.#core.init.tell('quit', { code: '0' });
    await ended;
    this.#core.init.close();
  }
}
