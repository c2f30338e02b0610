/**
 * The typed client of a running supervisor. Its methods are the operations of protocol/operations.ts, one each, so a new
 * operation is callable the moment it is in the table:
 *
 *     const client = await connect();
 *     await client.reload({ app: 'web' });
 *     for await (const { line } of client.logs({ app: 'web', follow: true })) …
 *
 * What the supervisor refuses is a CovetError with the table's code and details.
 */
import {
  callInput,
  isSubscription,
  type CallInput,
  type CallName,
  type Calls,
  type InputArguments,
  type SubscriptionName,
} from '../supervisor/protocol/calls.ts';
import { CovetError } from '../supervisor/protocol/errors.ts';
import { OPERATIONS, type OperationInput, type OperationName, type OperationResults } from '../supervisor/protocol/operations.ts';
import { CONTROL_VERSION } from '../supervisor/protocol/rpc.ts';
import { callerPaths, Connection, type CallOptions, type OnOther } from './connection.ts';
import { Subscription } from './subscription.ts';

export interface ConnectOptions {
  /** Instead of COVET_HOME. */
  readonly home?: string;
  /** How long connecting may take. */
  readonly deadlineMs?: number | undefined;
  /** Told which version answers, and what of a request it ignored, where it is not this one. */
  readonly onOther?: OnOther | undefined;
}

type Operations = Calls<CallOptions> & {
  [N in SubscriptionName]: (...args: InputArguments<N>) => Subscription<OperationResults[N]>;
};

export type { CallName };

export type Client = ClientBase & Operations;

class ClientBase {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Asks for an operation and waits for its answer. Throws CovetError, or the reason of `signal`. */
  call<N extends CallName>(name: N, input: CallInput<N>, options?: CallOptions): Promise<OperationResults[N]> {
    return this.#connection.request(name, callInput(name, input, process.env), options) as Promise<OperationResults[N]>;
  }

  /** Items as they come; leaving the loop ends the subscription. */
  subscribe<N extends SubscriptionName>(name: N, input: OperationInput<N>): Subscription<OperationResults[N]> {
    return new Subscription(this.#connection, name, input);
  }

  /** Resolves when the connection is gone, whoever ended it. */
  ended(): Promise<void> {
    return this.#connection.ended();
  }

  close(): void {
    this.#connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.ended();
  }
}

for (const name of Object.keys(OPERATIONS) as OperationName[]) {
  const method = isSubscription(name)
    ? function (this: ClientBase, input = {}) {
        return this.subscribe(name, input);
      }
    : function (this: ClientBase, input = {}, options?: CallOptions) {
        return this.call(name, input, options);
      };
  Object.defineProperty(ClientBase.prototype, name, { value: method, configurable: true, writable: true });
}

/**
 * Connects to the supervisor that runs; never starts one. Throws COVET_ERR_SUPERVISOR_ABSENT when there is none,
 * COVET_ERR_SUPERVISOR_VERSION when the two have no protocol version in common.
 */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const connection = await Connection.open(callerPaths(options.home), options.deadlineMs, options.onOther);
  const client = new ClientBase(connection) as Client;
  try {
    const { control } = await client.ping({}, { deadlineMs: options.deadlineMs });
    if (control.min > CONTROL_VERSION.max || control.max < CONTROL_VERSION.min) {
      throw new CovetError('COVET_ERR_SUPERVISOR_VERSION', { ours: range(CONTROL_VERSION), theirs: range(control) });
    }
    return client;
  } catch (error) {
    client.close();
    throw error;
  }
}

function range({ min, max }: { readonly min: number; readonly max: number }): string {
  return min === max ? String(min) : `${min} to ${max}`;
}
