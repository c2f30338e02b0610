/**
 * One client's conversation: requests in, answers, progress and items out. A request is validated by its operation's schema before its
 * handler sees it. A client that does not read is not read from either, what waits for it is bounded, and it keeps nobody from ending.
 */
import type { Socket } from 'node:net';
import * as v from 'valibot';
import { HANDLERS, SUBSCRIPTIONS, type OperationContext, type Sink, type SubscriptionName } from '../operations/handlers.ts';
import { parseInput, parseOtherInput } from '../operations/input.ts';
import { CovetError, nearMatch } from '../protocol/errors.ts';
import { OPERATIONS, type OperationName } from '../protocol/operations.ts';
import {
  LineSplitter,
  RPC_LINE_BYTES_MAX,
  type RpcFailure,
  type RpcNotification,
  type RpcOther,
  type RpcResponse,
} from '../protocol/rpc.ts';
import type { Env } from '../env.ts';
import { say } from '../own-words.ts';
import type { SupervisorCore } from '../supervisor.ts';
import { ItemQueue } from './item-queue.ts';

/** Unread bytes of one client before its items and its requests wait; above, items queue and then go. */
const UNREAD_BYTES_MAX = 1_048_576;
/** A conversation that ends, for its last words to be read. */
const END_WAIT_MS = 1_000;
/** Operations and subscriptions of one client at once. */
const UNDER_WAY_MAX = 64;

const requestSchema = v.object({
  jsonrpc: v.literal('2.0'),
  id: v.exactOptional(v.pipe(v.number(), v.integer())),
  method: v.pipe(v.string(), v.maxLength(64)),
  params: v.exactOptional(v.unknown()),
  client: v.exactOptional(v.pipe(v.string(), v.maxLength(64))),
});

/** Operations after which the supervisor ends; they are answered first. */
export type EndingMethod = 'kill' | 'upgrade';

export interface ConnectionCallbacks {
  /** An operation that changes something was asked for, and is about to be carried out; `app` is null where it is about none, or all. */
  onChange(method: OperationName, app: string | null): void;
  onEnd(method: EndingMethod): void;
}

export class ControlConnection {
  readonly #core: SupervisorCore;
  readonly #socket: Socket;
  readonly #callbacks: ConnectionCallbacks;
  readonly #splitter = new LineSplitter(RPC_LINE_BYTES_MAX);
  readonly #subscriptions = new Map<number, ItemQueue>();
  #underWay = 0;
  #lastSubscription = 0;

  constructor(core: SupervisorCore, socket: Socket, callbacks: ConnectionCallbacks) {
    this.#core = core;
    this.#socket = socket;
    this.#callbacks = callbacks;
    // A client that goes away resets; its conversation is over either way.
    socket.on('error', () => {});
  }

  begin(): void {
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#socket.on('drain', () => {
      this.#socket.resume();
      for (const subscription of this.#subscriptions.values()) subscription.flush();
    });
    this.#socket.once('close', () => {
      for (const subscription of this.#subscriptions.values()) subscription.stop();
    });
  }

  refuse(error: CovetError): void {
    this.#fail(null, -32_000, error);
    this.#hangUp();
    // Whoever is refused before begin() has no reader: without one, the end of what it says is never seen.
    this.#socket.resume();
  }

  end(): void {
    this.#hangUp();
    this.#socket.destroySoon();
  }

  /** `onEnded` is called once all was sent, or could not be. */
  #hangUp(onEnded: () => void = () => {}): void {
    const overdue = this.#core.env.after(END_WAIT_MS, () => this.#socket.destroy());
    this.#socket.once('close', () => overdue.cancel());
    this.#socket.end(onEnded);
  }

  #receive(chunk: Buffer): void {
    let lines: string[];
    try {
      lines = this.#splitter.push(chunk);
    } catch (error) {
      this.refuse(frameError((error as Error).message));
      this.#socket.destroySoon();
      return;
    }
    for (const line of lines) if (line !== '') void this.#request(line);
  }

  async #request(line: string): Promise<void> {
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch {
      return this.#fail(null, -32_700, frameError('a line that is not JSON'));
    }
    const parsed = v.safeParse(requestSchema, json);
    if (!parsed.success) return this.#fail(null, -32_600, frameError('another shape'));
    const { id = null, method, params, client } = parsed.output;
    if (method === 'unsubscribe') return this.#unsubscribe(params);
    if (!isOperation(method))
      return this.#fail(
        id,
        -32_601,
        new CovetError('COVET_ERR_CONTROL_METHOD', { got: method, near: nearMatch(method, Object.keys(OPERATIONS)) }),
      );
    if (this.#underWay + this.#subscriptions.size >= UNDER_WAY_MAX)
      return this.#fail(id, -32_000, new CovetError('COVET_ERR_CONTROL_REQUESTS', { max: UNDER_WAY_MAX }));
    // A subscription is counted for as long as it is open.
    const counted = isSubscription(method) ? 0 : 1;
    this.#underWay += counted;
    try {
      await this.#run(method, id, params, client);
    } catch (error) {
      this.#fail(id, error instanceof CovetError ? -32_000 : -32_603, asCovetError(error, this.#core.env));
    } finally {
      this.#underWay -= counted;
    }
  }

  async #run(method: OperationName, id: number | null, params: unknown, client: string | undefined): Promise<void> {
    const { version } = this.#core.env;
    let input: unknown;
    let said: { other?: RpcOther } = {};
    try {
      if (client === undefined || client === version) {
        input = parseInput(method, params);
      } else {
        const known = parseOtherInput(method, params);
        input = known.output;
        said = { other: { version, ignored: known.ignored } };
      }
    } catch (error) {
      return this.#fail(id, -32_602, asCovetError(error, this.#core.env));
    }
    const context: OperationContext = {
      core: this.#core,
      progress: (text) => id !== null && this.#send({ jsonrpc: '2.0', method: 'progress', params: { id, text } }),
    };
    if (isSubscription(method)) return this.#subscribe(method, id, input, context, said);
    // The table's type joins each name to its handler; an index over the union cannot show it.
    const handler = HANDLERS[method] as (context: OperationContext, input: unknown) => Promise<unknown>;
    const result = await (OPERATIONS[method].kind === 'read'
      ? handler(context, input)
      : this.#change(method, input, () => handler(context, input)));
    if (id !== null) this.#send({ jsonrpc: '2.0', id, ...said, result });
    if (method === 'kill' || method === 'upgrade') this.#hangUp(() => this.#callbacks.onEnd(method));
  }

  async #change(method: OperationName, input: unknown, run: () => Promise<unknown>): Promise<unknown> {
    const app = appOf(input);
    this.#callbacks.onChange(method, app);
    return app === null ? run() : this.#core.safeMode.step(method, app, run);
  }

  async #subscribe(
    method: SubscriptionName,
    id: number | null,
    input: unknown,
    context: OperationContext,
    said: { readonly other?: RpcOther },
  ): Promise<void> {
    const number = ++this.#lastSubscription;
    let isAnswered = false;
    const answer = (): void => {
      if (!isAnswered && id !== null) this.#send({ jsonrpc: '2.0', id, ...said, result: { subscription: number } });
      isAnswered = true;
    };
    const items = new ItemQueue(number, {
      hasRoom: () => this.#socket.writableLength < UNREAD_BYTES_MAX,
      send: (notification) => {
        answer();
        this.#send(notification);
      },
      onOver: () => this.#subscriptions.delete(number),
    });
    this.#subscriptions.set(number, items);
    const handler = SUBSCRIPTIONS[method] as (context: OperationContext, input: unknown, sink: Sink<unknown>) => Promise<() => void>;
    try {
      const stop = await handler(context, input, items);
      answer();
      items.begun(stop);
    } catch (error) {
      items.stop();
      throw error;
    }
  }

  #unsubscribe(params: unknown): void {
    const number = (params as { subscription?: unknown } | null)?.subscription;
    if (typeof number === 'number') this.#subscriptions.get(number)?.stop();
  }

  #fail(id: number | null, code: number, error: CovetError): void {
    const failure: RpcFailure = { code, message: error.message, data: { code: error.code, details: error.details } };
    this.#send({ jsonrpc: '2.0', id, error: failure });
  }

  #send(frame: RpcResponse | RpcNotification): void {
    if (!this.#socket.writable) return;
    this.#socket.write(`${JSON.stringify(frame)}\n`);
    if (this.#socket.writableLength > UNREAD_BYTES_MAX) this.#socket.pause();
  }
}

/** The app that an operation is about; null for one that is about none, or all. */
function appOf(input: unknown): string | null {
  const { app, config } = input as { readonly app?: string; readonly config?: { readonly name: string } };
  return app ?? config?.name ?? null;
}

function frameError(got: string): CovetError {
  return new CovetError('COVET_ERR_CONTROL_FRAME', { max: RPC_LINE_BYTES_MAX, got });
}

function isOperation(method: string): method is OperationName {
  return Object.hasOwn(OPERATIONS, method);
}

function isSubscription(method: OperationName): method is SubscriptionName {
  return Object.hasOwn(SUBSCRIPTIONS, method);
}

function asCovetError(error: unknown, env: Env): CovetError {
  if (error instanceof CovetError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  say(env, (error instanceof Error ? error.stack : undefined) ?? reason);
  return new CovetError('COVET_ERR_INTERNAL', { reason }, { cause: error });
}
