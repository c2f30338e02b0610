/** The test's side of parked-child.ts: `park` connections, let something die, and `use` them. Whoever starts one closes it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { within } from '../promises/eventually.ts';
import { repositoryRoot } from '../promises/root.ts';
import type { Target } from './options.ts';

/**
 * What a connection was doing when something died. idle: accepted, and nothing asked yet. queued: asked, and not accepted. in flight: asked of a
 * worker that has not answered. keep-alive: answered before. WebSocket: open, a message echoed.
 */
export const STATES = ['idle', 'queued', 'in flight', 'keep-alive', 'WebSocket'] as const;
export type State = (typeof STATES)[number];

export interface Fate {
  readonly state: State;
  readonly parked: number;
  readonly lost: number;
  /** Pids that answered the others. */
  readonly by: readonly number[];
  readonly reasons: readonly string[];
}

export type ParkedOrder =
  | { readonly do: 'park'; readonly target: Target; readonly states: readonly State[]; readonly count: number }
  | { readonly do: 'use'; readonly target: Target };
type Report = { readonly fates: Fate[] } | { readonly failed: string };

const DEADLINE_MS = 60_000;

export class Parked {
  readonly #child: ChildProcess;
  readonly #target: Target;

  /** `prefix` runs it: in another network, for one. */
  static async start(target: Target, prefix: readonly string[] = []): Promise<Parked> {
    const root = repositoryRoot();
    const [program, ...args] = [...prefix, process.execPath, '--import', 'tsx', join(root, 'test/load/parked-child.ts')];
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await once(child, 'message');
    return new Parked(child, target);
  }

  private constructor(child: ChildProcess, target: Target) {
    this.#child = child;
    this.#target = target;
  }

  /** Resolves when so many connections are in each of these states. What is to be queued, is when no worker runs. */
  async park(states: readonly State[], count: number): Promise<void> {
    await this.#order({ do: 'park', target: this.#target, states, count });
  }

  /** Uses each of them once, and ends them. */
  async use(): Promise<Fate[]> {
    return this.#order({ do: 'use', target: this.#target });
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  async #order(order: ParkedOrder): Promise<Fate[]> {
    const answered = once(this.#child, 'message') as Promise<[Report]>;
    this.#child.send(order);
    const [report] = await within(`the parked connections to ${order.do}`, answered, DEADLINE_MS);
    if ('failed' in report) throw new Error(`The parked connections failed: ${report.failed}`);
    return report.fates;
  }
}
