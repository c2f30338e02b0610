/**
 * Draining what never ends by itself: WebSockets get 1001 between two frames, event streams their end. Their clients all come back at
 * once, so the ends are spread evenly over a second, or a quarter of the deadline if that is less.
 */
import type { Connection } from './connections.ts';
import type { DrainTally } from './drain-counts.ts';

const SPREAD_MS_MAX = 1_000;

export class StreamDrain {
  readonly #tally: DrainTally;
  readonly #dueMs = new WeakMap<Connection, number>();
  readonly #endedMs: number;
  readonly #spreadMs: number;
  readonly #startMs: number;

  constructor(tally: DrainTally, startMs: number, deadlineMs: number) {
    this.#tally = tally;
    this.#startMs = startMs;
    this.#spreadMs = Math.min(SPREAD_MS_MAX, deadlineMs / 4);
    this.#endedMs = startMs + this.#spreadMs;
  }

  /** Those there are at the beginning, in turns; one that comes later is due at once. */
  begin(connections: readonly Connection[]): void {
    connections.forEach((connection, index) => this.#dueMs.set(connection, this.#startMs + (index * this.#spreadMs) / connections.length));
  }

  step(connection: Connection, nowMs: number): void {
    if (nowMs < Math.min(this.#dueMs.get(connection) ?? nowMs, this.#endedMs)) return;
    if (connection.kind === 'websocket') {
      // In the middle of a frame: again at the next step.
      if (connection.frames !== null && !connection.frames.isClosing) connection.frames.sendGoingAway();
    } else if (connection.response !== null && !connection.response.writableEnded) {
      this.#tally.settle(connection, 'drained', 'sse');
      connection.response.end();
    }
  }
}

export function isStream(connection: Connection): boolean {
  return connection.kind === 'websocket' || connection.isEventStream;
}
