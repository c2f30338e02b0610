/**
 * Every write of a state is one event; operations and problems are events too. Names are noun.past and cross wires and disks:
 * never renamed. `events` subscriptions, the history on disk and `describe` all show these objects.
 */
import type { AppStatus, ListenerCondition, SlotState } from './states.ts';

interface EventBase {
  /** Of this supervisor's history, rising by one. */
  readonly seq: number;
  /** Wall clock, ISO 8601. */
  readonly at: string;
}

/** What is done with a log: lines written, the file rotated, opened by its name, a worker's pipe watched. */
export type LogAction = 'write' | 'rotate' | 'open' | 'watch';

export type CovetEvent = EventBase & EventBody;

export type EventBody =
  | {
      readonly type: 'slot.changed';
      readonly app: string;
      readonly slot: number;
      readonly generation: number;
      readonly from: SlotState;
      readonly to: SlotState;
      readonly event: string;
      readonly reason: string;
      readonly pid: number;
    }
  | {
      readonly type: 'app.changed';
      readonly app: string;
      readonly from: AppStatus | 'none';
      readonly to: AppStatus | 'none';
      readonly reason: string;
    }
  | {
      readonly type: 'worker.exited';
      readonly app: string;
      readonly slot: number;
      readonly generation: number;
      readonly pid: number;
      readonly code: number | null;
      readonly signal: string | null;
      /** The kernel ended it for lack of memory; false too where nobody counts that (docs/cgroups.md). */
      readonly oom: boolean;
      readonly uptimeMs: number;
      readonly expected: boolean;
    }
  | {
      readonly type: 'listener.changed';
      readonly app: string;
      readonly listener: string;
      readonly from: ListenerCondition;
      readonly to: ListenerCondition;
      readonly reason: string;
    }
  | {
      readonly type: 'listener.flipped';
      readonly app: string;
      readonly listener: string;
      readonly generation: number;
      readonly half: 'A' | 'B';
    }
  | { readonly type: 'listener.rebuilt'; readonly app: string; readonly listener: string; readonly slot: number; readonly reason: string }
  | { readonly type: 'reload.started'; readonly app: string; readonly generation: number; readonly mode: 'overlap' | 'replace' }
  | { readonly type: 'reload.flipped'; readonly app: string; readonly generation: number }
  | { readonly type: 'reload.finished'; readonly app: string; readonly generation: number; readonly durationMs: number }
  | { readonly type: 'reload.failed'; readonly app: string; readonly generation: number; readonly reason: string }
  | { readonly type: 'app.degraded'; readonly app: string; readonly reason: string }
  /** What a worker that starts anew would run is not what its generation began with; once for each change. */
  | { readonly type: 'script.changed'; readonly app: string; readonly generation: number; readonly path: string }
  | { readonly type: 'orphans.swept'; readonly app: string; readonly count: number }
  /** What a log's file did not take for `logs.stallMs` and is given up: at most one a second, of all bytes since the last. */
  | { readonly type: 'log.dropped'; readonly app: string; readonly stream: 'out' | 'err'; readonly bytes: number; readonly reason: string }
  /** Of a log file something does not work, or works again; once for each change. What is lost over it is `log.dropped`. */
  | {
      readonly type: 'log.failed';
      readonly app: string;
      readonly stream: 'out' | 'err';
      readonly action: LogAction;
      readonly reason: string;
    }
  | { readonly type: 'log.recovered'; readonly app: string; readonly stream: 'out' | 'err'; readonly action: LogAction }
  | { readonly type: 'worker.misbehaved'; readonly app: string; readonly slot: number; readonly reason: string }
  | { readonly type: 'supervisor.started'; readonly version: string; readonly pid: number }
  /** Several supervisors died within a minute: this one starts nothing until `resurrect`. `setAside`: apps, with what was under way on each. */
  | { readonly type: 'supervisor.safe'; readonly deaths: number; readonly setAside: readonly string[] }
  | { readonly type: 'supervisor.stopping'; readonly reason: string };
