/** Of a log that fails there is one event for each change, and what is dropped is told at most once a second, with no byte left out. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { EventLog } from '../../../supervisor/event-log.ts';
import { LogTroubles, type LogTrouble } from '../../../supervisor/logs/log-troubles.ts';
import type { CovetEvent } from '../../../supervisor/protocol/events.ts';
import { envIn } from '../core.ts';

const FULL = { app: 'web', stream: 'out', action: 'write', code: 'ENOSPC' } as const satisfies LogTrouble;
const WELL = { ...FULL, code: '' };

class Told {
  readonly troubles: LogTroubles;
  readonly #events: EventLog;
  #timers: { readonly atMs: number; readonly run: () => void }[] = [];
  #nowMs = 0;

  constructor(t: TestContext) {
    const env = envIn(t);
    this.#events = new EventLog(env);
    const after = (ms: number, run: () => void) => {
      const timer = { atMs: this.#nowMs + ms, run };
      this.#timers.push(timer);
      return { cancel: () => void (this.#timers = this.#timers.filter((each) => each !== timer)) };
    };
    this.troubles = new LogTroubles({ after }, this.#events);
  }

  pass(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [next] = this.#timers.filter(({ atMs }) => atMs <= endMs).toSorted((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((each) => each !== next);
      this.#nowMs = next.atMs;
      next.run();
    }
    this.#nowMs = endMs;
  }

  get timers(): number {
    return this.#timers.length;
  }

  /** Those since the last question. */
  events(): string[] {
    const words = this.#events.last(1_000).slice(this.#asked).map(wordsOf);
    this.#asked += words.length;
    return words;
  }
  #asked = 0;
}

function wordsOf(event: CovetEvent): string {
  if (event.type === 'log.failed') return `${event.app} ${event.stream} ${event.action} failed: ${event.reason}`;
  if (event.type === 'log.recovered') return `${event.app} ${event.stream} ${event.action} recovered`;
  return event.type === 'log.dropped' ? `${event.app} ${event.stream} dropped ${event.bytes}: ${event.reason}` : event.type;
}

test('a failure is told once, another reason again, and the end when it has been well for a while', (t) => {
  const told = new Told(t);
  const { troubles } = told;
  troubles.set(WELL);
  assert.deepEqual(told.events(), []);
  troubles.set(FULL);
  troubles.set(FULL);
  assert.deepEqual(told.events(), ['web out write failed: ENOSPC']);
  assert.deepEqual(troubles.of('web'), [FULL]);
  assert.deepEqual(troubles.of('other'), []);
  // A short line fitted, a long one did not.
  for (let i = 0; i < 100; i++) {
    troubles.set(WELL);
    told.pass(4_999);
    troubles.set(FULL);
  }
  assert.deepEqual(told.events(), []);
  troubles.set({ ...FULL, code: 'EDQUOT' });
  assert.deepEqual(told.events(), ['web out write failed: EDQUOT']);
  troubles.set({ ...FULL, action: 'rotate' });
  assert.deepEqual(told.events(), ['web out rotate failed: ENOSPC']);
  troubles.set(WELL);
  told.pass(4_999);
  assert.deepEqual(told.events(), []);
  told.pass(1);
  assert.deepEqual(told.events(), ['web out write recovered']);
  assert.deepEqual(troubles.of('web'), [{ ...FULL, action: 'rotate' }]);
});

test('what is dropped is told at once, then at most once a second, all of it', (t) => {
  const told = new Told(t);
  const drop = { app: 'web', stream: 'out', bytes: 10, reason: 'ENOSPC' } as const;
  for (let i = 0; i < 250; i++) {
    told.troubles.dropped(drop);
    told.pass(10);
  }
  told.troubles.dropped({ ...drop, stream: 'err' });
  assert.deepEqual(told.events(), [
    'web out dropped 10: ENOSPC',
    'web out dropped 990: ENOSPC',
    'web out dropped 1000: ENOSPC',
    'web err dropped 10: ENOSPC',
  ]);
  told.pass(10_000);
  assert.deepEqual(told.events(), ['web out dropped 500: ENOSPC']);
  assert.equal(told.timers, 0);
  told.troubles.dropped(drop);
  assert.deepEqual(told.events(), ['web out dropped 10: ENOSPC']);
});

test('logs that are closed leave no trouble and no byte untold, nor does the end', (t) => {
  const told = new Told(t);
  const drop = { app: 'web', stream: 'out', bytes: 10, reason: 'ENOSPC' } as const;
  for (const app of ['web', 'web', 'other', 'other']) {
    told.troubles.set({ ...FULL, app });
    told.troubles.dropped({ ...drop, app });
  }
  told.events();
  told.troubles.set(WELL);
  told.troubles.forget('web');
  assert.deepEqual(told.events(), ['web out dropped 10: ENOSPC']);
  assert.deepEqual(told.troubles.of('web'), []);
  assert.equal(told.troubles.of('other').length, 1);
  told.troubles.set({ ...WELL, app: 'other' });
  told.troubles.end();
  assert.deepEqual(told.events(), ['other out dropped 10: ENOSPC']);
  assert.equal(told.timers, 0);
});
