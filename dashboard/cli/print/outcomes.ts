/** One sentence for each operation that changed something: what it came to, counted. */
import type { OperationResults, StopView } from '../../../supervisor/protocol/operations.ts';
import type { AppStatus } from '../../../supervisor/protocol/states.ts';
import type { ConnectionCounts, DrainCounts } from '../../../supervisor/protocol/worker-wire.ts';
import { duration, plural } from './units.ts';

const NAMES: Readonly<Record<keyof ConnectionCounts, string>> = {
  http1: 'HTTP/1',
  http1Idle: 'idle HTTP/1',
  http2: 'HTTP/2',
  websocket: 'WebSocket',
  sse: 'SSE',
  raw: 'other',
};
const KINDS = Object.entries(NAMES) as [keyof ConnectionCounts, string][];

/** Nothing of it runs. */
export const AT_REST: ReadonlySet<AppStatus> = new Set(['stopped', 'failed', 'completed']);

export const OUTCOMES = {
  start: ({ app }: OperationResults['start']) => `${app.name} is ${app.status} with ${plural(app.wanted, 'worker')}.\n`,
  startStopped: ({ app }: OperationResults['startStopped']) => `${app.name} is ${app.status} with ${plural(app.wanted, 'worker')}.\n`,
  scale: ({ app }: OperationResults['scale']) =>
    AT_REST.has(app.status)
      ? `${app.name} is ${app.status}; when it is started it has ${plural(app.wanted, 'worker')}.\n`
      : `${app.name} has ${plural(app.wanted, 'worker')}.\n`,
  restart: ({ app }: OperationResults['restart']) => `${app.name} was restarted: ${app.status}, generation ${app.generation}.\n`,
  reload: (view: OperationResults['reload']) =>
    `${view.app.name} was reloaded to generation ${view.generation} in ${duration(view.durationMs)} (${view.mode}).${connections(view)}\n`,
  stop: (view: StopView) => `${view.app.name} is ${view.app.status}.${connections(view)}\n`,
  delete: (view: StopView) => `${view.app.name} was deleted.${connections(view)}\n`,
  kill: ({ apps }: OperationResults['kill']) =>
    apps === 0
      ? 'The supervisor ended; no app ran.\n'
      : `The supervisor ended, after ${plural(apps, 'app')}. \`covet-pm resurrect\` runs ${apps === 1 ? 'it' : 'them'} again.\n`,
} as const;

/** ` Connections: 12 handed over, 3 drained (2 HTTP/1, 1 SSE), 0 cut.`; nothing for an app that has no socket and had no connection. */
function connections({ app, drain, killed }: StopView): string {
  const deaths = killed === 0 ? '' : ` ${plural(killed, 'worker')} had to be killed.`;
  const isNone = drain.handedOver + count(drain.drained) + drain.idleClosed + count(drain.cut) === 0;
  if (isNone && app.listen.length === 0) return deaths;
  const parts = [`${drain.handedOver} handed over`, `${count(drain.drained)} drained${byKind(drain.drained)}`];
  if (drain.idleClosed > 0) parts.push(`${drain.idleClosed} idle closed`);
  parts.push(`${count(drain.cut)} cut${byKind(drain.cut)}`);
  return ` Connections: ${parts.join(', ')}.${deaths}`;
}

function count(counts: DrainCounts['cut']): number {
  return KINDS.reduce((total, [kind]) => total + counts[kind], 0);
}

function byKind(counts: DrainCounts['cut']): string {
  const parts = KINDS.filter(([kind]) => counts[kind] > 0).map(([kind, name]) => `${counts[kind]} ${name}`);
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}
