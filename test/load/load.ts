/**
 * The test's side of the load process: `LoadProcess.start()`, then `begin(options)` for each client. Whoever starts one closes it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { repositoryRoot } from '../promises/root.ts';
import type { Order, Report } from './child.ts';
import { type LoadOptions } from './options.ts';
import { type Tally, check } from './tally.ts';

/** An answer to "so many more answers" that does not come is a fault of the server; the tally so far says what happened. */
const MORE_MS = 60_000;

export interface Load {
  /** Resolves when so many further requests have been answered. Throws with the tally so far after a minute. */
  more(answers: number): Promise<Tally>;
  peek(): Promise<Tally>;
  /** Every request in hand is finished or lost, and none is missing from the account. */
  stop(): Promise<Tally>;
}

export class LoadProcess {
  readonly #child: ChildProcess;
  readonly #asked = new Map<number, { resolve: (tally: Tally) => void; reject: (error: Error) => void }>();
  #ids = 0;
  #failure: Error | null = null;

  /** `prefix` runs it: in another network, for one. */
  static async start(prefix: readonly string[] = []): Promise<LoadProcess> {
    const root = repositoryRoot();
    const [program, ...args] = [...prefix, process.execPath, '--import', 'tsx', join(root, 'test/load/child.ts')];
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await once(child, 'message');
    return new LoadProcess(child);
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (report: Report) => {
      if ('failed' in report) this.#fail(new Error(`The load client failed: ${report.failed}`));
      else if ('ask' in report) this.#asked.get(report.ask)?.resolve(report.tally);
    });
    child.on('exit', (code, signal) => this.#fail(new Error(`The load process ended with ${code ?? signal}`)));
  }

  /** Begins a client, and resolves when each of its connections can have been answered once. */
  async begin(options: LoadOptions): Promise<Load> {
    const id = this.#ids++;
    const load: Load = {
      more: async (answers) => this.#more(id, answers),
      peek: async () => this.#ask((ask) => ({ do: 'peek', id, ask })),
      stop: async () => check(await this.#ask((ask) => ({ do: 'stop', id, ask }))),
    };
    this.#send({ do: 'start', id, options });
    await load.more(options.connections);
    return load;
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  async #more(id: number, answers: number): Promise<Tally> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        void this.#ask((ask) => ({ do: 'peek', id, ask })).then(
          (tally) => reject(new Error(`Expected ${answers} more answers within ${MORE_MS} ms, got ${JSON.stringify(tally)}`)),
          reject,
        );
      }, MORE_MS);
    });
    try {
      return await Promise.race([this.#ask((ask) => ({ do: 'await', id, ask, answers })), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #ask(order: (ask: number) => Order): Promise<Tally> {
    if (this.#failure !== null) throw this.#failure;
    const ask = this.#ids++;
    return new Promise<Tally>((resolve, reject) => {
      this.#asked.set(ask, { resolve, reject });
      this.#send(order(ask));
    }).finally(() => this.#asked.delete(ask));
  }

  #send(order: Order): void {
    this.#child.send(order);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#asked.values()) reject(error);
  }
}
