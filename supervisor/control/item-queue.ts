/**
 * The items of one subscription on their way to its client: sent as the client reads. What waits for one that does not is bounded; the oldest
 * go and are counted.
 */
import type { Sink } from '../operations/handlers.ts';
import { SUBSCRIPTION_ITEMS_MAX, type RpcNotification } from '../protocol/rpc.ts';

type ItemNotification = Extract<RpcNotification, { method: 'item' | 'dropped' }>;

/** The client's side of it. */
export interface Outflow {
  hasRoom(): boolean;
  send(notification: ItemNotification): void;
  /** Nothing more comes. */
  onOver(): void;
}

export class ItemQueue implements Sink<unknown> {
  readonly #number: number;
  readonly #out: Outflow;
  readonly #waiting: unknown[] = [];
  #dropped = 0;
  /** Of them. */
  #droppedTold = 0;
  #isEnding = false;
  #isOver = false;
  #stopSource: () => void = () => {};
  #onRoom: () => void = () => {};

  constructor(subscription: number, out: Outflow) {
    this.#number = subscription;
    this.#out = out;
  }

  item(item: unknown): boolean {
    if (this.#isOver) return true;
    if (this.#hasRoom()) {
      this.#send(item);
    } else {
      this.#waiting.push(item);
      if (this.#waiting.length > SUBSCRIPTION_ITEMS_MAX) {
        this.#waiting.shift();
        this.#dropped++;
      }
    }
    return this.#hasRoom();
  }

  async room(): Promise<void> {
    if (!this.#hasRoom()) await new Promise<void>((resolve) => (this.#onRoom = resolve));
  }

  end(): void {
    this.#isEnding = true;
    if (this.#isOver || this.#waiting.length > 0) return;
    this.#out.send({ jsonrpc: '2.0', method: 'item', params: { subscription: this.#number, end: true, dropped: this.#dropped } });
    this.stop();
  }

  /** Its items flow now; `stopSource` ends that. */
  begun(stopSource: () => void): void {
    if (this.#isOver) stopSource();
    else this.#stopSource = stopSource;
  }

  /** The client has read some. */
  flush(): void {
    while (this.#waiting.length > 0 && this.#out.hasRoom()) {
      this.#tellDropped();
      this.#send(this.#waiting.shift());
    }
    if (this.#hasRoom()) this.#onRoom();
    if (this.#isEnding) this.end();
  }

  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#out.onOver();
    this.#stopSource();
    this.#onRoom();
  }

  #send(item: unknown): void {
    this.#out.send({ jsonrpc: '2.0', method: 'item', params: { subscription: this.#number, item } });
  }

  /** Before the first item that is left: where the others would have been. */
  #tellDropped(): void {
    if (this.#dropped === this.#droppedTold) return;
    this.#droppedTold = this.#dropped;
    this.#out.send({ jsonrpc: '2.0', method: 'dropped', params: { subscription: this.#number, dropped: this.#dropped } });
  }

  /** Who is gone is never full. */
  #hasRoom(): boolean {
    return this.#isOver || (this.#waiting.length === 0 && this.#out.hasRoom());
  }
}
