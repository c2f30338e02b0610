/**
 * What `import … from 'covet-pm'` gives: the client of a running supervisor, a supervisor of one's own, and the types of both.
 * The only barrel of the package.
 */
export { connect, type Client, type ConnectOptions } from './client.ts';
export type { CallOptions } from './connection.ts';
export type { Subscription } from './subscription.ts';
export { Supervisor, type EmbeddedCallOptions, type SupervisorOptions } from '../supervisor/embedded.ts';
export type { CallInput, CallName, SubscriptionName } from '../supervisor/protocol/calls.ts';
export { CovetError, type ErrorCode, type ErrorDetails } from '../supervisor/protocol/errors.ts';
export type { AppConfig, AppInput } from '../supervisor/protocol/config.ts';
export type { CovetEvent } from '../supervisor/protocol/events.ts';
export type * from '../supervisor/protocol/operations.ts';
export type { AppStatus, ListenerCondition, SlotState } from '../supervisor/protocol/states.ts';
