/**
 * The one door by which events come up: every write of a state passes here, is numbered, kept for a while, and told to subscribers.
 */
import { EventEmitter } from 'node:events';
import type { Env } from './env.ts';
import { say } from './own-words.ts';
import type { CovetEvent, EventBody } from './protocol/events.ts';

/** Kept in memory, for `events --last` and `describe`; ~300 bytes each. */
const HISTORY_MAX = 5_000;

export class EventLog extends EventEmitter<{ event: [CovetEvent] }> {
  readonly #env: Env;
  #history: CovetEvent[] = [];
  #seq = 0;

  constructor(env: Env) {
    super();
    this.#env = env;
    this.setMaxListeners(0);
  }

  announce(body: EventBody): void {
    const event: CovetEvent = { seq: ++this.#seq, at: this.#env.wallClock().toISOString(), ...body };
    this.#history.push(event);
    if (this.#history.length > HISTORY_MAX * 1.1) this.#history = this.#history.slice(-HISTORY_MAX);
    this.#tell(event);
  }

  /** The last `count`, oldest first; of one app, or of all. */
  last(count: number, app?: string): CovetEvent[] {
    const matching = app === undefined ? this.#history : this.#history.filter((event) => 'app' in event && event.app === app);
    return count === 0 ? [] : matching.slice(-count);
  }

  /** As emit, save that a listener may belong to the program around us: its fault is neither the supervisor's nor the next listener's. */
  #tell(event: CovetEvent): void {
    for (const listener of this.rawListeners('event')) {
      try {
        listener.call(this, event);
      } catch (error) {
        say(this.#env, `a listener of ${event.type} threw, ignoring: ${error instanceof Error ? error.stack : String(error)}`);
      }
    }
  }
}
