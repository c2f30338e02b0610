/** The face that a slot sees of its app. */
import type { Env } from '../env.ts';
import type { Listener } from '../listeners/listener.ts';
import type { AppConfig } from '../protocol/config.ts';
import type { SlotState } from '../protocol/states.ts';
import type { LendReply, LendRequest } from '../protocol/worker-wire.ts';
import type { ProbeTarget } from './probe.ts';
import type { Slot } from './slot.ts';
import type { WorkerEnd } from './worker-end.ts';
import type { WorkerCallbacks, WorkerHandle } from './worker-handle.ts';

/** What a slot needs of its app; apps/app-host.ts implements it. */
export interface SlotHost {
  readonly env: Env;
  readonly config: AppConfig;
  /** Whether a probe can reach its worker alone, and where; null until it can be asked. */
  readonly aim: { isPossible(slot: Slot): boolean; targetOf(slot: Slot): ProbeTarget | null };
  /** Makes the handle, registers it and starts it. */
  hire(slot: Slot, callbacks: WorkerCallbacks): WorkerHandle;
  lend(slot: Slot, request: LendRequest, reply: (reply: LendReply, fd?: number) => void): void;
  /** Whether its worker says hello when it runs its first line. */
  hasPreload(slot: Slot): boolean;
  /** Whether only a listen() can make it ready: the config says so, or its like have listened before. */
  mustListen(slot: Slot): boolean;
  listenersOf(slot: Slot): readonly Listener[];
  onListening(slot: Slot, key: string, own: boolean): void;
  onClosed(slot: Slot, key: string): void;
  /** The state was written. */
  onState(slot: Slot, from: SlotState, event: string, reason: string): void;
  onCrash(slot: Slot, reason: string): void;
  onGone(slot: Slot): void;
  /** Why a worker that was not killed here ended, as far as the kernel tells. */
  explain(end: WorkerEnd): WorkerEnd;
  onExit(slot: Slot, end: WorkerEnd, expected: boolean): void;
  /** A worker said that it is ready, before covet-init told that it runs. */
  saidReadyEarly(pid: number): boolean;
  /** It says that it is ready: a later supervisor has to know. */
  onSaidReady(slot: Slot): void;
  onMessage(slot: Slot, data: unknown): void;
  onMisbehaved(slot: Slot, reason: string): void;
  /** A worker that stays, to hand connections to; null when there is none. */
  heirOf(slot: Slot): WorkerHandle | null;
  /** Connections keep coming to its socket, for nobody or for a successor on it: the worker must stop accepting by itself. */
  mustStopAccepting(slot: Slot): boolean;
  /** Of a stop that is under way (drain.ts); else resolved. */
  readonly allEmptied: Promise<void>;
  /** Listeners that close once its worker has stopped accepting. */
  readonly left: { has(listener: Listener): boolean };
  /** Its worker accepts no more. */
  onDeaf(slot: Slot): void;
}
