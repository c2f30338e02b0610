/** What an app is given to work with, and what its verbs come to. */
import type { Env } from '../env.ts';
import type { EventLog } from '../event-log.ts';
import type { Cgroups } from '../host/cgroups.ts';
import type { InitClient } from '../init/init-client.ts';
import type { Notes } from '../init/notes.ts';
import type { ListenerRegistry } from '../listeners/registry.ts';
import type { LogStore } from '../logs/log-store.ts';
import type { DrainCounts } from '../protocol/worker-wire.ts';
import type { ReadyNotices } from '../slots/ready-notices.ts';
import type { WorkerTable } from '../slots/worker-table.ts';
import type { AppRecord } from '../state/wanted.ts';
import type { App } from './app.ts';
import { NO_DRAIN } from '../protocol/drain-counts.ts';

export interface AppDeps {
  readonly env: Env;
  readonly init: InitClient;
  readonly workers: WorkerTable;
  readonly notices: ReadyNotices;
  readonly registry: ListenerRegistry;
  readonly logs: LogStore;
  readonly events: EventLog;
  readonly notes: Notes;
  readonly cgroups: Cgroups;
  /** As WantedState.save. */
  save<R extends AppRecord | null>(name: string, change: (record: AppRecord | undefined) => R): Promise<R>;
  /** The name of another app that is pinned, or null. */
  otherPinned(name: string): string | null;
  onForgotten(app: App): void;
}

/** What a reload or a stop came to. */
export interface Outcome {
  readonly drain: DrainCounts;
  readonly killed: number;
}

export const NOTHING_YET: Outcome = { drain: NO_DRAIN, killed: 0 };
