/**
 * The worker's conversation with its supervisor: the channel's messages answered, the hand-off's descriptors passed to where they
 * belong. One per process, in its main thread.
 */
import {
  WORKER_WIRE_VERSION,
  type DrainCounts,
  type PeerNotice,
  type StandInNotice,
  type SupervisorMessage,
  type WorkerBoot,
  type WorkerMessage,
} from '../supervisor/protocol/worker-wire.ts';
import { Channel } from './channel.ts';
import { installClusterFacade } from './cluster-facade.ts';
import { addDrain } from '../supervisor/protocol/drain-counts.ts';
import type { DrainOrder } from './drain.ts';
import { Ipc } from './ipc.ts';
import { whenLoaded } from './loaded.ts';
import { NewWires } from './new-wires.ts';
import type { Report } from './report.ts';
import { guarded } from './say.ts';
import { Serving, type Wires } from './serving.ts';
import { SignalWatch } from './signals.ts';
import { ThreadHub } from './threads.ts';

export class MainThread implements Report {
  readonly #boot: WorkerBoot;
  readonly #wires: Wires | null;
  readonly #channel: Channel;
  readonly #serving: Serving;
  readonly #ipc: Ipc;
  readonly #signals: SignalWatch;
  readonly #threads: ThreadHub;
  /** Until whoever took over speaks on them. */
  #newWires: NewWires | null = null;
  #isReady = false;
  #isLoaded = false;
  #drained: DrainCounts | null = null;

  constructor(boot: WorkerBoot, wires: Wires | null) {
    this.#boot = boot;
    this.#wires = wires;
    this.#channel = new Channel(
      boot.channel,
      (message) => guarded('a message of the supervisor', () => this.#heard(message), undefined),
      () => guarded('the end of covet-init', () => this.#renewWires(), undefined),
    );
    this.#serving = new Serving(boot, wires, this);
    this.#ipc = new Ipc(this.#channel, () => (this.#isReady = true));
    this.#signals = new SignalWatch(this);
    this.#threads = new ThreadHub(this);
  }

  start(): void {
    this.#sayHello();
    whenLoaded(() => this.tell({ t: 'loaded' }));
    this.#ipc.install();
    this.#signals.start();
    this.#threads.watch();
    this.#serving.start();
    if (this.#wires !== null) this.#listenToHandoff(this.#wires);
    if (this.#boot.mode === 'cluster') installClusterFacade(this.#boot.slot, this.#ipc, this.#serving);
  }

  tell(message: WorkerMessage): boolean {
    if (message.t === 'ready') this.#isReady = true;
    if (message.t === 'loaded') this.#isLoaded = true;
    return this.#channel.tell(message);
  }

  #heard(message: SupervisorMessage): void {
    this.#newWires?.taken();
    this.#newWires = null;
    switch (message.t) {
      case 'hello':
        // A supervisor that did not start us: everything again.
        this.#sayHello();
        if (this.#isLoaded) this.tell({ t: 'loaded' });
        this.#signals.tell();
        this.#serving.tellListening();
        for (const listening of this.#threads.listening) this.tell(listening);
        if (this.#drained !== null) this.tell({ t: 'drained', counts: this.#drained });
        return;
      case 'message':
        return this.#ipc.deliver(message.data);
      case 'take':
        this.#threads.take();
        return this.#serving.datagrams.take();
      case 'drain':
        return this.#drain(message);
    }
  }

  /** What this worker has to say from here on waits in them; its servers and connections never needed any. */
  #renewWires(): void {
    // One that drains was already left by its supervisor, and ends when it is done.
    if (this.#wires === null || this.#serving.isDraining) return;
    this.#newWires = new NewWires(this.#wires.native);
    this.#channel.renew(this.#newWires.channel);
    this.#wires.handoff.close();
    this.#wires.handoff = new this.#wires.native.PacketSocket(this.#newWires.handoff);
    this.#wires.native.leaveForThreads(JSON.stringify({ ...this.#boot, handoff: this.#newWires.handoff }));
    this.#listenToHandoff(this.#wires);
  }

  #sayHello(): void {
    const { servers, datagrams } = this.#serving;
    const own = [...servers.listening].filter(({ isLent }) => isLent).map(({ listener }) => listener ?? '');
    const listeners = [...own, ...datagrams.lentListeners, ...this.#threads.listening.map(({ listener }) => listener)];
    this.tell({ t: 'hello', ...WORKER_WIRE_VERSION, pid: process.pid, node: process.versions.node, listeners, ready: this.#isReady });
  }

  #drain(order: DrainOrder): void {
    if (this.#drained !== null) return void this.tell({ t: 'drained', counts: this.#drained });
    if (this.#serving.isDraining) return;
    // Its sockets may all close before it is told to stop: until then it stays.
    this.#channel.hold();
    // An app that ends by itself once its server is closed: what was handed over until then is told all the same.
    process.once('exit', () => {
      const counts = this.#serving.drainCounts;
      if (this.#drained === null && counts !== null) this.tell({ t: 'drained', counts });
    });
    keepCompiledCode();
    const threads = this.#threads.drain({ ...order, handOver: false });
    this.#serving.drain(order, (counts) => {
      void threads.then((others) => {
        this.#drained = others.reduce((sum: DrainCounts, other) => addDrain(sum, other), counts);
        this.tell({ t: 'drained', counts: this.#drained });
      });
    });
  }

  /** Whichever thread has the server. */
  #standIn(notice: StandInNotice, fd: number | null): void {
    if (this.#serving.servers.listeningOn(notice.listener) !== null || !this.#threads.standIn(notice, fd))
      this.#serving.standIn(notice, fd);
  }

  #listenToHandoff({ native, handoff }: Wires): void {
    const onPacket = (text: string, fds: readonly number[]) => {
      const [fd, ...surplus] = fds;
      for (const extra of surplus) native.closeFd(extra);
      const notice = JSON.parse(text) as PeerNotice | StandInNotice;
      if (notice.t === 'standIn' || notice.t === 'standDown') return this.#standIn(notice, fd ?? null);
      if (fd === undefined) return;
      if (notice.t === 'inherit') this.#serving.inherit(fd);
      else if (notice.t === 'heir') this.#serving.useHeir(fd);
      else native.closeFd(fd);
    };
    handoff.start(
      (text, fds) => guarded('a hand-off notice', () => onPacket(text, fds), undefined),
      () => {},
    );
    handoff.unref();
  }
}

/** NODE_COMPILE_CACHE is written at an exit, which one that a signal ends has none of. Node has this from 22.10 on. */
function keepCompiledCode(): void {
  if (process.env['NODE_COMPILE_CACHE'] === undefined) return;
  const { flushCompileCache } = process.getBuiltinModule('node:module') as { flushCompileCache?: () => void };
  if (flushCompileCache !== undefined) guarded('the compile cache', flushCompileCache, undefined);
}
