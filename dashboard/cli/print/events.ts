/** One event as one line: time, name, app, then what is particular to it. */
import type { CovetEvent, EventBody } from '../../../supervisor/protocol/events.ts';
import { paint, type Paint, type Style } from './style.ts';
import { duration } from './units.ts';
import { visible } from './visible.ts';

export function printEvent(event: CovetEvent, style: Style): string {
  const app = 'app' in event ? `${paint(style, 'bold', visible(style, event.app))} ` : '';
  return `${paint(style, 'dim', event.at)} ${paint(style, colourOf(event), event.type)} ${app}${visible(style, tell(event))}`.trimEnd();
}

function colourOf({ type }: EventBody): Paint | undefined {
  if (/failed|misbehaved|dropped/.test(type)) return 'red';
  if (/degraded|swept|exited/.test(type)) return 'yellow';
  return 'cyan';
}

function tell(event: EventBody): string {
  switch (event.type) {
    case 'slot.changed':
      return `slot ${event.slot} gen ${event.generation}: ${event.from} → ${event.to} (${event.reason})${event.pid === 0 ? '' : ` pid ${event.pid}`}`;
    case 'app.changed':
      return `${event.from} → ${event.to} (${event.reason})`;
    case 'worker.exited':
      return `slot ${event.slot} pid ${event.pid} ${event.signal ?? `code ${event.code}`}${event.oom ? ' (oom)' : ''} after ${duration(event.uptimeMs)}${event.expected ? '' : ', unexpected'}`;
    case 'listener.changed':
      return `${event.listener} ${event.from} → ${event.to} (${event.reason})`;
    case 'listener.flipped':
      return `${event.listener} to half ${event.half}, generation ${event.generation}`;
    case 'listener.rebuilt':
      return `${event.listener} slot ${event.slot}: ${event.reason}`;
    case 'reload.started':
      return `generation ${event.generation}, ${event.mode}`;
    case 'reload.flipped':
      return `generation ${event.generation}`;
    case 'reload.finished':
      return `generation ${event.generation} in ${duration(event.durationMs)}`;
    case 'reload.failed':
      return `generation ${event.generation}: ${event.reason}`;
    case 'app.degraded':
      return event.reason;
    case 'script.changed':
      return `${event.path} is not what generation ${event.generation} began with`;
    case 'orphans.swept':
      return `${event.count} left behind`;
    case 'log.dropped':
      return `${event.stream}: ${event.bytes} bytes (${event.reason})`;
    case 'log.failed':
      return `${event.stream}: ${event.action} (${event.reason})`;
    case 'log.recovered':
      return `${event.stream}: ${event.action} works again`;
    case 'worker.misbehaved':
      return `slot ${event.slot}: ${event.reason}`;
    case 'supervisor.started':
      return `${event.version} pid ${event.pid}`;
    case 'supervisor.safe':
      return `safe mode after ${event.deaths} deaths${event.setAside.length === 0 ? '' : `, set aside: ${event.setAside.join(', ')}`}`;
    case 'supervisor.stopping':
      return event.reason;
    default:
      return unknownEvent(event);
  }
}

/** From a newer supervisor than this build knows: its fields as they are. */
function unknownEvent(event: never): string {
  const { seq: _seq, at: _at, type: _type, app: _app, ...rest } = event as Record<string, unknown>;
  return JSON.stringify(rest);
}
