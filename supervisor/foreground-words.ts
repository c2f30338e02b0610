/** What `run` says of its app on stderr: a line for each worker that ended unasked, with what follows from it, and one when the app is degraded. */
import type { CovetEvent } from './protocol/events.ts';
import type { SupervisorCore } from './supervisor.ts';

/** Resolves when all that happened until then is said. */
export type Told = () => Promise<void>;

/** States of a worker that nobody has asked to end. */
const UNASKED: ReadonlySet<string> = new Set(['spawning', 'booting', 'ready']);

export function tellEnds(core: SupervisorCore, app: string, say: (words: string) => void): Told {
  let uptimeMs: number | null = null;
  let follows = '';
  let told = Promise.resolve();
  // What follows from an end is told within the same turn; and what the app said last comes first.
  const tell = (words: () => string): void =>
    queueMicrotask(() => {
      const text = words();
      told = told.then(async () => core.logs.tellAll(app)).then(() => say(text));
    });
  const ended = (event: CovetEvent & { type: 'slot.changed' }): void => {
    const after = uptimeMs === null ? '' : ` after ${span(uptimeMs)}`;
    uptimeMs = null;
    follows = '';
    if (UNASKED.has(event.from)) tell(() => `worker ${event.slot} ${event.reason}${after}${follows}`);
  };
  core.events.on('event', (event: CovetEvent) => {
    if (!('app' in event) || event.app !== app) return;
    if (event.type === 'worker.exited') ({ uptimeMs } = event);
    else if (event.type === 'app.degraded') tell(() => `${app} is degraded: ${event.reason}`);
    else if (event.type !== 'slot.changed') return;
    else if (event.to === 'exited') ended(event);
    else if (event.to === 'backoff') follows = `; ${event.reason}`;
  });
  return async () => told;
}

function span(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
