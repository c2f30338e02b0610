/**
 * The control socket's frames: JSON-RPC 2.0, one object a line, over a Unix stream socket (COVET_HOME/run/control.sock, 0600).
 *
 * A request `{jsonrpc, id, method, params}` gets one response. A subscription's request is answered at once with
 * `{subscription: n}`, and its items follow as notifications `{jsonrpc, method: "item", params: {subscription, item}}`, the last
 * with `{subscription, end: true, dropped}`. Where items were left out `{method: "dropped", params: {subscription, dropped}}` stands in their
 * place; like the end's, its `dropped` is how many in all. Unknown members of a frame are ignored by either side; of `params` they are an error, unless `client`
 * says that the caller is of another version: then the response tells them as ignored. A long operation may say `{method: "progress", params: {id, text}}` before it answers.
 */

/** A line; a longer one ends the connection. */
export const RPC_LINE_BYTES_MAX = 8_388_608;
/** Items that wait for one slow subscriber; beyond that the oldest go and are counted. */
export const SUBSCRIPTION_ITEMS_MAX = 10_000;
/** Versions of the control protocol this build speaks; told in `ping`. */
export const CONTROL_VERSION = { min: 1, max: 1 } as const;

export interface RpcRequest {
  readonly jsonrpc: '2.0';
  readonly id: number;
  readonly method: string;
  readonly params: unknown;
  /** The caller's version of covet-pm, if it is one. */
  readonly client?: string;
}

/** In a response to a caller that is of another version: which one answers, and the fields of `params` that it does not know. */
export interface RpcOther {
  readonly version: string;
  readonly ignored: readonly string[];
}

export interface RpcFailure {
  /** JSON-RPC's number: -32700 parse, -32600 request, -32601 method, -32602 params, -32000 the operation failed. */
  readonly code: number;
  readonly message: string;
  /** The error table's code and its details; `result` where a failed operation still has something to show. */
  readonly data?: { readonly code: string; readonly details: Readonly<Record<string, string | number>>; readonly result?: unknown };
}

export type RpcResponse = { readonly jsonrpc: '2.0'; readonly id: number | null; readonly other?: RpcOther } & (
  | { readonly result: unknown }
  | { readonly error: RpcFailure }
);

export type RpcNotification =
  | {
      readonly jsonrpc: '2.0';
      readonly method: 'item';
      readonly params:
        | { readonly subscription: number; readonly item: unknown }
        | { readonly subscription: number; readonly end: true; readonly dropped: number };
    }
  | { readonly jsonrpc: '2.0'; readonly method: 'dropped'; readonly params: { readonly subscription: number; readonly dropped: number } }
  | { readonly jsonrpc: '2.0'; readonly method: 'progress'; readonly params: { readonly id: number; readonly text: string } };

/** Splits a byte stream into lines. `push` returns whole lines; throws RangeError when one grows past `max` bytes. */
export class LineSplitter {
  #parts: Buffer[] = [];
  #bytes = 0;
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      this.#keep(chunk.subarray(from, at));
      lines.push(this.#parts.length === 1 ? this.#parts[0]!.toString() : Buffer.concat(this.#parts).toString());
      this.#parts = [];
      this.#bytes = 0;
      from = at + 1;
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
    return lines;
  }

  #keep(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > this.#max) throw new RangeError(`Expected lines of at most ${this.#max} bytes, got ${this.#bytes} without an end`);
    this.#parts.push(part);
  }
}
