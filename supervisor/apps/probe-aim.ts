/**
 * Where a worker's `probe` goes. It must reach that very worker: the kernel steers to its lent TCP socket, or its preload takes a connection
 * that it is handed (slots/probe.ts). A program that is not Node has the first way alone, and where there is none a `probe` is refused.
 */
import { CovetError } from '../protocol/errors.ts';
import type { ProbeTarget } from '../slots/probe.ts';
import type { Slot } from '../slots/slot.ts';
import type { App } from './app.ts';
import type { Launch } from './launch.ts';

export class ProbeAim {
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
  }

  /** Throws COVET_ERR_APP_PROBE. */
  require({ isNode, file }: Launch): void {
    const { config, host, name } = this.#app;
    if (config.probe === undefined || isNode || this.#isSteered()) return;
    const listed = host.lending.configured().map(({ key, dispatch }) => `${key} by ${dispatch}`);
    const got = listed.length === 0 ? 'nothing there' : listed.join(', ');
    throw new CovetError('COVET_ERR_APP_PROBE', { app: name, program: file, got });
  }

  /** Not where sockets were taken back from such a program's workers after covet-init and its supervisor died at once: a successor serves unasked then. */
  isPossible(slot: Slot): boolean {
    return this.#app.host.hasPreload(slot) || this.#isSteered();
  }

  /** One of its servers; null until it has one. HTTP is not asked of a datagram socket. */
  targetOf(slot: Slot): ProbeTarget | null {
    const { host } = this.#app;
    // A program without a preload has its sockets from its first instant.
    const lent = host.hasPreload(slot) ? host.listenersOf(slot) : host.lending.configured();
    const listener = lent.find(({ dispatch }) => dispatch === 'bpf') ?? lent.find(({ address }) => address.kind !== 'udp');
    if (listener !== undefined) return { key: listener.key, listener };
    const key = [...slot.ownAddresses].find((address) => !address.startsWith('udp:'));
    return key === undefined ? null : { key, listener: null };
  }

  #isSteered(): boolean {
    return this.#app.host.lending.configured().some(({ dispatch }) => dispatch === 'bpf');
  }
}
