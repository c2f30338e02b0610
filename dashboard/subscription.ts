/**
 * What `logs` and `events` give a program: an async iterator over the items of one subscription.
 *
 * Items that nobody takes wait in a bounded queue; beyond SUBSCRIPTION_ITEMS_MAX the oldest go and are counted in `dropped`, as
 * the supervisor does for a slow reader of the socket. Leaving a `for await` early tells the supervisor to stop sending.
 */
import { SUBSCRIPTION_ITEMS_MAX } from '../supervisor/protocol/rpc.ts';
import type { Connection } from './connection.ts';

interface Taker<T> {
  readonly resolve: (result: IteratorResult<T, undefined>) => void;
  readonly reject: (error: Error) => void;
}

export class Subscription<T> implements AsyncIterableIterator<T, undefined> {
  readonly #connection: Connection;
  #id: number | null = null;
  #items: T[] = [];
  #takers: Taker<T>[] = [];
  #isOver = false;
  #droppedHere = 0;
  #droppedThere = 0;
  #error: Error | undefined;

  constructor(connection: Connection, method: string, input: unknown) {
    this.#connection = connection;
    connection.subscribe(method, input, {
      opened: (id) => this.#opened(id),
      item: (item) => this.#item(item as T),
      dropped: (count) => (this.#droppedThere = count),
      end: (dropped, error) => this.#end(dropped, error),
    });
  }

  /** Items lost so far because they were not taken in time, here or in the supervisor. */
  get dropped(): number {
    return this.#droppedHere + this.#droppedThere;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next item. Throws, once, what ended the subscription early. */
  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#items.length > 0) return Promise.resolve({ done: false, value: this.#items.shift()! });
    if (!this.#isOver) return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
    const error = this.#error;
    this.#error = undefined;
    return error === undefined ? Promise.resolve(over) : Promise.reject(error);
  }

  /** Ends the subscription; what waits is let go. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.#items = [];
    this.#end(0);
    if (this.#id !== null) this.#connection.unsubscribe(this.#id);
    return Promise.resolve(over);
  }

  #opened(id: number): void {
    this.#id = id;
    if (this.#isOver) this.#connection.unsubscribe(id);
  }

  #item(item: T): void {
    const taker = this.#takers.shift();
    if (taker !== undefined) return taker.resolve({ done: false, value: item });
    this.#items.push(item);
    if (this.#items.length <= SUBSCRIPTION_ITEMS_MAX) return;
    this.#items.shift();
    this.#droppedHere++;
  }

  #end(dropped: number, error?: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#droppedThere = Math.max(this.#droppedThere, dropped);
    const [first, ...others] = this.#takers;
    this.#takers = [];
    if (first === undefined) this.#error = error;
    else if (error === undefined) first.resolve(over);
    else first.reject(error);
    for (const { resolve } of others) resolve(over);
  }
}

const over = { done: true, value: undefined } as const;
