/**
 * The states others script against. A slot's state is that of its worker's life (slot-machine.ts); an app's status is derived from
 * the plan and the slots in one place (apps/status.ts). Names cross wires and disks: never renamed.
 */

export const SLOT_STATES = ['cold', 'spawning', 'booting', 'ready', 'draining', 'stopping', 'exited', 'backoff', 'failed'] as const;
export type SlotState = (typeof SLOT_STATES)[number];

const APP_STATUSES = ['online', 'starting', 'reloading', 'degraded', 'stopping', 'stopped', 'failed', 'waiting', 'completed'] as const;
export type AppStatus = (typeof APP_STATUSES)[number];

/** A listener's condition (docs/listeners.md): connections wait, are refused so that clients fail over, or there is no socket. */
const LISTENER_CONDITIONS = ['open', 'refusing', 'closed'] as const;
export type ListenerCondition = (typeof LISTENER_CONDITIONS)[number];
