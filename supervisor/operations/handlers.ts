/**
 * The handlers' side of the operations table: what each is given, and which file serves which name. A handler either answers, or, for a
 * subscription, returns what stops it.
 */
import type { OperationName, OperationParsed, OperationResults } from '../protocol/operations.ts';
import type { SupervisorCore } from '../supervisor.ts';
import { deleteApp, stopApp } from './stop.ts';
import { describeApp } from './describe.ts';
import { doctor } from './doctor.ts';
import { events } from './events.ts';
import { health } from './health.ts';
import { kill } from './kill.ts';
import { list, ping } from './list.ts';
import { logs } from './logs.ts';
import { reloadApp } from './reload.ts';
import { restartApp } from './restart.ts';
import { resurrect } from './resurrect.ts';
import { scaleApp } from './scale.ts';
import { startApp, startStopped } from './start.ts';
import { upgrade } from './upgrade.ts';

export interface OperationContext {
  readonly core: SupervisorCore;
  /** For what takes longer than a second. */
  progress(text: string): void;
}

/** A subscription's sink; `end` closes it from the supervisor's side. */
export interface Sink<T> {
  /** False when it is full: more than SUBSCRIPTION_ITEMS_MAX beyond that, and the oldest go. */
  item(item: T): boolean;
  /** Resolves when there is room, or when nobody listens any more. */
  room(): Promise<void>;
  end(): void;
}

export type Handler<N extends OperationName> = (context: OperationContext, input: OperationParsed<N>) => Promise<OperationResults[N]>;
export type SubscriptionHandler<N extends OperationName> = (
  context: OperationContext,
  input: OperationParsed<N>,
  sink: Sink<OperationResults[N]>,
) => Promise<() => void>;
export type SubscriptionName = 'logs' | 'events';

export const HANDLERS: { readonly [N in Exclude<OperationName, SubscriptionName>]: Handler<N> } = {
  ping,
  list,
  describe: describeApp,
  health,
  doctor,
  start: startApp,
  startStopped,
  scale: scaleApp,
  reload: reloadApp,
  restart: restartApp,
  stop: stopApp,
  delete: deleteApp,
  kill,
  resurrect,
  upgrade,
};

export const SUBSCRIPTIONS: { readonly [N in SubscriptionName]: SubscriptionHandler<N> } = { logs, events };
