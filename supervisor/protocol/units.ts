/** Time's unit, and the bounds that have no better home. */

/** A span or an instant of the monotonic clock, in milliseconds. */
export type Ms = number;

/** Slots of one app: two reuseport sockets each, and a classic program of two instructions a slot fits in 4,096. */
export const SLOTS_MAX = 1_024;
/** Listeners one app may open. */
export const LISTENERS_MAX = 64;
/** Apps of one supervisor. */
export const APPS_MAX = 1_000;
