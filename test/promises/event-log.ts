/** A home's events as a test reads them: all from the beginning, kept, so that what came before the question is found too. */
import type { Client } from '../../dashboard/client.ts';
import type { CovetEvent } from '../../supervisor/protocol/events.ts';
import { DEADLINE_MS } from './eventually.ts';

export type EventOf<T extends CovetEvent['type']> = Extract<CovetEvent, { type: T }>;

interface Waiter {
  readonly matches: (event: CovetEvent) => boolean;
  readonly resolve: (event: CovetEvent) => void;
}

const LAST_MAX = 10_000;

export class EventLog {
  readonly #events: CovetEvent[] = [];
  readonly #waiters = new Set<Waiter>();

  constructor(client: Client) {
    void this.#read(client);
  }

  get all(): readonly CovetEvent[] {
    return this.#events;
  }

  of<T extends CovetEvent['type']>(type: T): EventOf<T>[] {
    return this.#events.filter((event): event is EventOf<T> => event.type === type);
  }

  /** The first event that matches, of those there are and those that come. Throws with the last ones at the deadline. */
  async waitFor<T extends CovetEvent['type']>(
    type: T,
    matches: (event: EventOf<T>) => boolean = () => true,
    deadlineMs = DEADLINE_MS,
  ): Promise<EventOf<T>> {
    const isIt = (event: CovetEvent): event is EventOf<T> => event.type === type && matches(event as EventOf<T>);
    const past = this.#events.find(isIt);
    if (past !== undefined) return past;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        reject(
          new Error(
            `Expected ${type} within ${deadlineMs} ms; the last events:\n${this.#events
              .slice(-20)
              .map((event) => JSON.stringify(event))
              .join('\n')}`,
          ),
        );
      }, deadlineMs);
      const waiter: Waiter = {
        matches: isIt,
        resolve: (event) => {
          clearTimeout(timer);
          this.#waiters.delete(waiter);
          resolve(event as EventOf<T>);
        },
      };
      this.#waiters.add(waiter);
    });
  }

  async #read(client: Client): Promise<void> {
    try {
      for await (const event of client.events({ last: LAST_MAX, follow: true })) {
        this.#events.push(event);
        for (const waiter of this.#waiters) if (waiter.matches(event)) waiter.resolve(event);
      }
    } catch {
      // The supervisor ended, or the test is over: whoever waits has a deadline.
    }
  }
}
