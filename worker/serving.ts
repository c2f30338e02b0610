/**
 * What the main thread and every thread of a worker have alike: their servers, their connections, and the drain of those.
 */
import type { Native, PacketSocket } from '../native/index.ts';
import type { DrainCounts, StandInNotice, WorkerBoot } from '../supervisor/protocol/worker-wire.ts';
import { watchBinding } from './bind.ts';
import { Connections } from './connections.ts';
import { Datagrams } from './datagrams.ts';
import { Drain, type DrainOrder } from './drain.ts';
import { showFace, type DrainHook } from './face.ts';
import { inherit } from './handover.ts';
import { runHooks } from './hooks.ts';
import { Lender } from './lender.ts';
import { watchListening } from './listen.ts';
import type { Report } from './report.ts';
import { Servers } from './servers.ts';
import { standIn } from './stand-in.ts';

/** The addon and the hand-off, where the addon loads. */
export interface Wires {
  readonly native: Native;
  /** Another one once covet-init and its supervisor were killed at once. */
  handoff: PacketSocket;
}

export class Serving {
  readonly servers: Servers;
  readonly datagrams: Datagrams;
  readonly #boot: WorkerBoot;
  readonly #connections: Connections;
  readonly #wires: Wires | null;
  readonly #report: Report;
  readonly #hooks = new Set<DrainHook>();
  #drain: Drain | null = null;
  /** `heir` comes before the `drain` it is for. */
  #heirFd: number | null = null;

  constructor(boot: WorkerBoot, wires: Wires | null, report: Report) {
    this.#boot = boot;
    this.#wires = wires;
    this.#report = report;
    this.servers = new Servers(report);
    this.datagrams = new Datagrams(report);
    this.#connections = new Connections(this.servers);
  }

  /** Before the app's first line. */
  start(): void {
    const wires = this.#wires;
    this.#connections.watch();
    const lending = wires === null || !this.#boot.lend ? null : { native: wires.native, lender: new Lender(wires.native, wires) };
    watchListening({ servers: this.servers, lending });
    watchBinding({ datagrams: this.datagrams, mode: this.#boot.mode, lending });
    const { app, slot, generation } = this.#boot;
    showFace({ info: { app, slot, generation }, hooks: this.#hooks, ready: () => this.#report.tell({ t: 'ready' }) });
  }

  /** An older worker of this app has connections for us. */
  inherit(fd: number): void {
    if (this.#wires === null) return;
    inherit(
      { native: this.#wires.native, servers: this.servers, connections: this.#connections, isDraining: () => this.#drain !== null },
      fd,
    );
  }

  /** A worker of the new generation will take connections from us. */
  useHeir(fd: number): void {
    if (this.#drain !== null) return this.#drain.useHeir(fd);
    if (this.#heirFd !== null) this.#wires?.native.closeFd(this.#heirFd);
    this.#heirFd = fd;
  }

  /** A slot without a worker has, or no longer has, connections for us. Owns the descriptor. */
  standIn(notice: StandInNotice, fd: number | null): void {
    if (this.#wires === null) return;
    if (this.#drain === null) standIn(this.#wires.native, this.servers, notice, fd);
    else if (fd !== null) this.#wires.native.closeFd(fd);
  }

  /** Of a drain that is under way, or was. */
  get drainCounts(): DrainCounts | null {
    return this.#drain?.counts ?? null;
  }

  get isDraining(): boolean {
    return this.#drain !== null;
  }

  drain(order: DrainOrder, onDone: (counts: DrainCounts) => void): void {
    this.#drain = new Drain(
      {
        native: this.#wires?.native ?? null,
        servers: this.servers,
        datagrams: this.datagrams,
        connections: this.#connections,
        report: this.#report,
        runHooks: (deadlineMs) => runHooks(this.#hooks, deadlineMs),
      },
      order,
      onDone,
    );
    if (this.#heirFd !== null) this.#drain.useHeir(this.#heirFd);
    this.#heirFd = null;
    this.#drain.begin();
  }

  tellListening(): void {
    for (const record of this.servers.listening) this.servers.tellListening(record);
    this.datagrams.tellListening();
  }
}
