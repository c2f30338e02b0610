/** The face that a listener sees of the app it belongs to. */
import type { ListenerCondition } from '../protocol/states.ts';
import type { StandInNotice } from '../protocol/worker-wire.ts';
import type { Listener } from './listener.ts';
import type { Half } from './sockets.ts';
import type { Taker } from './stand-ins.ts';

export interface ListenerOwner {
  readonly app: string;
  readonly uid: number;
  readonly gid: number;
  readonly useBpf: boolean;
  readonly queueMs: number;
  readonly whenDown: 'queue' | 'refuse';
  /** The half a generation listens on; null when it is history. */
  halfOf(generation: number): Half | null;
  /** Whether that worker is ready and may get connections. */
  isTaking(generation: number, slot: number): boolean;
  /** Has a worker accept, or stop accepting, for a slot that has none. False when it cannot. */
  tellStandIn(taker: Taker, notice: StandInNotice, fds: readonly number[]): boolean;
  /** Whether a worker has that slot's socket on that half, or one is about to. */
  isHeld(slot: number, half: Half): boolean;
  /** Whether it runs code that nobody has tried yet: then it gets connections only when no other can take them. */
  isOnTrial(generation: number, slot: number): boolean;
  onCondition(listener: Listener, from: ListenerCondition, reason: string): void;
  /** A worker detached the kernel's program; it is back. */
  onProgramGone(listener: Listener): void;
  /** Closing sockets in covet-init failed. */
  onTrouble(listener: Listener, error: Error): void;
}
