/** Branded numbers, so that an index, a count and a pid do not mix, and the bounds that have no better home. */

declare const brand: unique symbol;
type Branded<B extends string> = number & { readonly [brand]: B };

export type Pid = Branded<'Pid'>;
export type Fd = Branded<'Fd'>;
export type SlotIndex = Branded<'SlotIndex'>;
export type Generation = Branded<'Generation'>;
/** A span or an instant of the monotonic clock, in milliseconds. */
export type Ms = number;

export const pid = (n: number): Pid => n as Pid;
export const fd = (n: number): Fd => n as Fd;
export const slotIndex = (n: number): SlotIndex => n as SlotIndex;
export const generation = (n: number): Generation => n as Generation;

/** Slots of one app: two reuseport sockets each, and a classic program of two instructions a slot fits in 4,096. */
export const SLOTS_MAX = 1_024;
/** Listeners one app may open. */
export const LISTENERS_MAX = 64;
/** Apps of one supervisor. */
export const APPS_MAX = 1_000;
