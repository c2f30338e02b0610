/**
 * An app under load, as the headline promises need it: a home, a deployment, two workers or more, and clients against it. One
 * helper for all of them, with app, clients and trigger as parameters.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type Load, LoadProcess } from '../load/load.ts';
import { DEADLINE_MS_MIN, type LoadOptions, type Target } from '../load/options.ts';
import type { Tally } from '../load/tally.ts';
import type { OperationResults } from '../../supervisor/protocol/operations.ts';
import type { CommandResult, HomeOptions, TestApp } from './home.ts';
import { eventually } from './eventually.ts';
import { Home, SHORT } from './home.ts';
import { freePort } from './ports.ts';
import { Deployment } from './release.ts';
import { type Cell, nameOf } from './reload-cells.ts';

/** From a reload without its mechanism until every client has seen it: the longest pause, and a client's own deadline after it. */
const SEEN_MS = 60_000;

export interface ServedOptions extends HomeOptions {
  readonly app: string;
  readonly tls?: boolean;
  readonly unix?: boolean;
  /** Its address is opened before its first worker, which finds it in LISTEN_FDS. */
  readonly isLent?: boolean;
  readonly config?: Partial<TestApp>;
  /** How many addresses the app opens; 1. */
  readonly listeners?: number;
}

/** Whoever ends what was begun: a test, or a benchmark. */
export interface Ending {
  after(end: () => Promise<void>): void;
}

export interface CellLoad {
  readonly cell: Cell;
  readonly load: Load;
}

export class Served {
  readonly home: Home;
  readonly deployment: Deployment;
  readonly port: number;
  readonly target: Target;
  readonly #load: LoadProcess;

  /** Starts everything; all of it ends with the test. */
  static async start(t: Ending, options: ServedOptions): Promise<Served> {
    const load = await LoadProcess.start();
    const home = new Home(options);
    // One hook, for they run in the order they were added: the load must end before the home is looked over.
    t.after(async () => {
      await load.close();
      await home.end();
    });
    const deployment = new Deployment(join(home.work, 'app'), options.app);
    const port = await freePort();
    const socketPath = join(home.work, 'app.sock');
    await home.start({
      ...SHORT,
      script: deployment.script,
      cwd: deployment.folder,
      instances: 2,
      ...(options.isLent === true ? { listen: [`tcp://127.0.0.1:${port}`] } : {}),
      ...options.config,
      env: { PORT: String(port), ...(options.unix === true ? { SOCKET: socketPath } : {}), ...options.config?.env },
    });
    // An app is ready when it listens, or when it has lived for minHealthyMs: one that takes longer to listen is awaited here.
    const { listeners = 1 } = options;
    const isServing = async (): Promise<boolean> => (await home.app()).listen.length >= listeners;
    await eventually(`${listeners} listeners`, isServing);
    const target: Target = { host: '127.0.0.1', port, tls: options.tls === true, ...(options.unix === true ? { socketPath } : {}) };
    return new Served(home, deployment, port, target, load);
  }

  private constructor(home: Home, deployment: Deployment, port: number, target: Target, load: LoadProcess) {
    this.home = home;
    this.deployment = deployment;
    this.port = port;
    this.target = target;
    this.#load = load;
  }

  async begin(options: Omit<LoadOptions, 'target'>, portOffset = 0): Promise<Load> {
    return this.#load.begin({ target: { ...this.target, port: this.port + portOffset }, ...options });
  }

  async beginAll(cells: readonly Cell[], more: Partial<LoadOptions> = {}): Promise<CellLoad[]> {
    return Promise.all(
      cells.map(async (cell) => ({
        cell,
        load: await this.begin(
          {
            kind: cell.client,
            connections: cell.connections,
            ...(cell.thinkMs === undefined ? {} : { thinkMs: cell.thinkMs }),
            ...more,
          },
          cell.portOffset,
        ),
      })),
    );
  }

  /** A reload that succeeds, and after which no old worker is left. */
  async reload(): Promise<OperationResults['reload']> {
    const before = await this.home.pids();
    const result = await this.home.covet('reload', 'web', '--json');
    assert.equal(result.code, 0, `${said(result)}\n${result.code === 0 ? '' : await this.home.history()}\n${this.home.log()}`);
    const after = await this.home.pids();
    assert.equal(after.length, before.length);
    assert.deepEqual(
      after.filter((pid) => before.includes(pid)),
      [],
      'an old worker is still there',
    );
    return result.as('reload');
  }
}

export function said({ code, stdout, stderr }: CommandResult): string {
  return `exit ${code}: ${stderr}${stdout}`;
}

/** Stops every client and returns the accounts. */
export async function stopAll(loads: readonly CellLoad[]): Promise<{ cell: Cell; tally: Tally }[]> {
  return Promise.all(loads.map(async ({ cell, load }) => ({ cell, tally: await load.stop() })));
}

/** Nothing was lost, and where connections are kept they are the same ones. Says all that is wrong at once. */
export function assertNothingLost(accounts: readonly { cell: Cell; tally: Tally }[]): void {
  const wrong = accounts.flatMap(({ cell, tally }) => {
    const name = nameOf(cell);
    const lost =
      tally.lost === 0
        ? []
        : [`${name} lost ${tally.lost} of ${tally.requests}: ${JSON.stringify(tally.lostBy)}\n    ${tally.examples.join('\n    ')}`];
    const reopened =
      cell.keeps === true && tally.opened !== cell.connections
        ? [
            `${name} opened ${tally.opened} connections, wanted the same ${cell.connections} throughout (${tally.closedIdle} closed between messages)`,
          ]
        : [];
    const silent = tally.answered === 0 ? [`${name} was never answered`] : [];
    return [...lost, ...reopened, ...silent];
  });
  assert.deepEqual(wrong, [], `\n  ${wrong.join('\n  ')}\n`);
}

/** Reloads, or whatever `verb` says, an app that has lost its mechanism for it: a client that then reports no loss would never report one. */
export async function assertAllLose(
  served: Served,
  clients: readonly Cell[],
  verb: readonly [string, ...string[]] = ['reload', 'web'],
): Promise<void> {
  const loads = await served.beginAll(clients, { deadlineMs: DEADLINE_MS_MIN });
  await served.home.covet(...verb);
  let blind: string[] = [];
  const allSeeIt = async (): Promise<boolean> => {
    const tallies = await Promise.all(loads.map(async ({ cell, load }) => ({ cell, tally: await load.peek() })));
    blind = tallies.filter(({ tally }) => tally.lost === 0).map(({ cell, tally }) => `${nameOf(cell)}: ${JSON.stringify(tally)}`);
    return blind.length === 0;
  };
  await eventually('every client to lose something', allSeeIt, SEEN_MS).catch(() => assert.deepEqual(blind, []));
  await stopAll(loads);
}
