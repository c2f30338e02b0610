/**
 * A new channel and hand-off in place of those whose other side is gone: covet-init and its supervisor were killed at once. Nobody is there
 * to connect to, and there may be for hours; so the far ends stay here, and a file in memory says which they are. Whoever takes over looks for
 * that file among this process's descriptors and duplicates both ends (supervisor/adoption/recover.ts). Nothing is tried again, and nothing waits.
 */
import type { Native } from '../native/index.ts';
import { NEW_WIRES_FILE, type NewWires as Told } from '../supervisor/protocol/worker-wire.ts';

export class NewWires {
  readonly channel: number;
  readonly handoff: number;
  readonly #native: Native;
  readonly #far: readonly number[];

  /** Throws EMFILE: then there are none, and the worker can only be signalled. */
  constructor(native: Native) {
    this.#native = native;
    const [channel, farChannel] = native.socketPair('stream');
    const [handoff, farHandoff] = native.socketPair('seqpacket');
    const told: Told = { channel: farChannel, handoff: farHandoff };
    this.channel = channel;
    this.handoff = handoff;
    this.#far = [farChannel, farHandoff, native.memoryFile(NEW_WIRES_FILE, JSON.stringify(told))];
  }

  /** Somebody speaks on them, and so has the far ends: with ours gone, their end can be heard again. */
  taken(): void {
    for (const fd of this.#far) this.#native.closeFd(fd);
  }
}
