/**
 * How a program calls the operations: by a method each, made from the table, on the typed client and on an embedded supervisor alike.
 * Both fill in what the CLI fills in: the calling program's environment at a start.
 */
import { OPERATIONS, type OperationInput, type OperationName, type OperationResults } from './operations.ts';

/** Operations that answer with items, one after the other. */
export type SubscriptionName = { [N in OperationName]: (typeof OPERATIONS)[N] extends { subscription: true } ? N : never }[OperationName];
export type CallName = Exclude<OperationName, SubscriptionName>;

/** `start` without `env` gives the app the calling program's, less what belongs to its session (docs/state.md). */
export type CallInput<N extends OperationName> = OperationInput<N> | (N extends 'start' ? Pick<OperationInput<'start'>, 'config'> : never);

/** The input may be left out where every field of it may. */
export type InputArguments<N extends OperationName> = object extends OperationInput<N> ? [input?: CallInput<N>] : [input: CallInput<N>];

/** A method for each operation that answers once. */
export type Calls<Options> = {
  [N in CallName]: (...args: [...InputArguments<N>, options?: Options]) => Promise<OperationResults[N]>;
};

/** What goes to the operation for what the program gave. */
export function callInput<N extends CallName>(
  name: N,
  input: CallInput<N>,
  caller: Readonly<Record<string, string | undefined>>,
): OperationInput<N> {
  if (name !== 'start' || (input as Partial<OperationInput<'start'>> | null)?.env !== undefined) return input;
  return { ...input, env: Object.fromEntries(Object.entries(caller).filter(([, value]) => value !== undefined)) };
}

export function isSubscription(name: OperationName): name is SubscriptionName {
  return 'subscription' in OPERATIONS[name];
}
