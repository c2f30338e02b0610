/**
 * What a drain counts, pure: connections by kind, open and gone. Each is counted once, by what its client noticed.
 */
import type { ConnectionCounts, DrainCounts } from '../supervisor/protocol/worker-wire.ts';
import type { Connection, Ending } from './connections.ts';

type Counts = { -readonly [Kind in keyof ConnectionCounts]: number };

function emptyCounts(): Counts {
  return { http1: 0, http1Idle: 0, http2: 0, websocket: 0, sse: 0, raw: 0 };
}

export class DrainTally {
  #handedOver = 0;
  #idleClosed = 0;
  readonly #drained = emptyCounts();
  readonly #cut = emptyCounts();

  get counts(): DrainCounts {
    return { handedOver: this.#handedOver, drained: this.#drained, idleClosed: this.#idleClosed, cut: this.#cut };
  }

  /** The first ending counts. `kind` where the connection no longer tells. */
  settle(connection: Connection, ending: Ending, kind: keyof ConnectionCounts = kindOf(connection)): void {
    if (connection.ending !== null) return;
    connection.ending = ending;
    if (ending === 'handedOver') this.#handedOver++;
    else if (ending === 'idleClosed') this.#idleClosed++;
    else if (ending === 'cut') this.#cut[kind]++;
    else this.#drained[kind]++;
  }
}

export function kindOf(connection: Connection): keyof ConnectionCounts {
  if (connection.kind !== 'http1') return connection.kind;
  if (!connection.isAnswering) return 'http1Idle';
  return connection.isEventStream ? 'sse' : 'http1';
}

export function countOpen(connections: Iterable<Connection>): ConnectionCounts {
  const counts = emptyCounts();
  for (const connection of connections) counts[kindOf(connection)]++;
  return counts;
}
