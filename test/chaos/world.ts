/** What the walk happens to: a home under load, and the model of what must be so in it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLOCK_FILE } from '../../supervisor/env.ts';
import type { OperationResults } from '../../supervisor/protocol/operations.ts';
import type { Load } from '../load/load.ts';
import { packageOf } from '../promises/package-of.ts';
import { type Ending, Served } from '../promises/served.ts';

/** The state that must be so once things have settled. */
export interface Model {
  web: number;
  /** Workers of `side`; null when there is no such app. */
  side: number | null;
  isSideStopped: boolean;
  builds: number;
  /** Requests that may be lost: those in flight in workers that were killed. */
  mayLose: number;
}

export type List = OperationResults['list'];

/** Of covet-init and supervisor. */
export interface Held {
  readonly init: number;
  readonly supervisor: number;
}

/** What was there at one moment. */
export interface Seen {
  readonly list: List;
  readonly descriptors: Held;
  readonly memory: Held;
}

export interface World {
  readonly served: Served;
  readonly loads: readonly Load[];
  readonly model: Model;
  /** Connections of all clients. */
  readonly connections: number;
  /** A package of another version. */
  readonly otherVersion: string;
  /** A death is under way beside the step: whatever command was given may be cut off. */
  isDisturbed: boolean;
  /** In the beginning, for what may not grow; null until it was looked at. */
  first: Seen | null;
}

/** Slots that `web` may ever have had. */
export const WEB_WORKERS_MAX = 4;
export const OTHER_VERSION = '0.2.0';
const CONNECTIONS = 6;
/** Two versions of covet-pm, the flood's logs, and the supervisor's own. */
const DISK_BYTES = 64 * 1_048_576;

/** Restarts are no part of the question: nothing is given up however often it is killed. */
export const CALM = { minHealthyMs: 100, restart: { delayMs: 10, delayMaxMs: 50, intensity: 1_000 } };

export async function beginWorld(t: Ending, faults: readonly string[] = []): Promise<World> {
  const served = await Served.start(t, {
    app: 'http.cjs',
    env: { COVET_TEST_FAULT: ['no-safe-mode', 'moved-clock', ...faults].join(',') },
    config: CALM,
    diskBytes: DISK_BYTES,
  });
  const reconnecting = await served.begin({ kind: 'reconnect', connections: CONNECTIONS });
  const keeping = await served.begin({ kind: 'keepAlive', connections: CONNECTIONS, thinkMs: [0, 20] });
  return {
    served,
    loads: [reconnecting, keeping],
    model: { web: 2, side: null, isSideStopped: false, builds: 0, mayLose: 0 },
    connections: CONNECTIONS * 2,
    otherVersion: packageOf(served.home.work, OTHER_VERSION),
    isDisturbed: false,
    first: null,
  };
}

/** Of the supervisor that runs, and of those after it. */
export function setClock({ served }: World, offMs: number): void {
  writeFileSync(join(served.home.path, CLOCK_FILE), String(offMs));
}
