/**
 * What a supervisor notes in covet-init for its successor, by key: what it knows of an app and of each slot beyond what is wanted (wanted.ts)
 * and what the workers themselves can tell. A memo that a later version does not understand is as good as none: the worker is then taken
 * for one that boots.
 */
import * as v from 'valibot';
import { SLOT_STATES } from '../protocol/states.ts';

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

const slotMemoSchema = v.object({
  /** The worker's key in covet-init; of the last one, where none runs. */
  worker: v.string(),
  state: v.picklist(SLOT_STATES),
  restarts: count,
  /** All instants are CLOCK_MONOTONIC milliseconds. */
  startedMs: v.number(),
  readyAtMs: v.nullable(v.number()),
  history: v.object({ starts: count, attempt: count, crashesMs: v.array(v.number()) }),
  /** Keys of the listeners that it listens on. */
  listening: v.array(v.string()),
  /** The app said so, by whatever `readiness` asks for; with a `probe` that is not all. */
  saidReady: v.optional(v.boolean(), false),
});

const appMemoSchema = v.object({
  /** Whether all of it was up since it was started. */
  isUp: v.boolean(),
  /** Why it failed for good; null when it did not. */
  failed: v.nullable(v.string()),
  /** Of its TLS servers: a session must be resumable by the workers of the next supervisor too. */
  ticketKeys: v.string(),
  /** What its workers bound by themselves. */
  ownAddresses: v.array(v.string()),
  degradedUntilMs: v.nullable(v.number()),
  /** The generation that serves. One more than on disk where that had to go back to the version before. */
  live: v.optional(count, 0),
  /** Of its cgroup, as far as they were told of a worker; null where it was not counted. */
  oomKills: v.optional(v.nullable(count), null),
  /** Of the last worker that ended by itself, in words. */
  lastExit: v.optional(v.nullable(v.string()), null),
});

/** The operation that is being carried out on an app. */
const stepMemoSchema = v.object({ app: v.string(), verb: v.string() });

export type SlotMemo = v.InferOutput<typeof slotMemoSchema>;
export type AppMemo = v.InferOutput<typeof appMemoSchema>;
export type StepMemo = v.InferOutput<typeof stepMemoSchema>;

export const STEP_PREFIX = 'step:';

export function appMemoKey(app: string): string {
  return `app:${app}`;
}

export function slotMemoKey(app: string, generation: number, slot: number): string {
  return `slot:${app}:${generation}:${slot}`;
}

/** Of every slot of an app among these keys. */
export function slotsOf(app: string, keys: readonly string[]): { readonly generation: number; readonly slot: number }[] {
  const prefix = `slot:${app}:`;
  return keys
    .filter((key) => key.startsWith(prefix))
    .flatMap((key) => {
      const match = /^(\d+):(\d+)$/.exec(key.slice(prefix.length));
      return match === null ? [] : [{ generation: Number(match[1]), slot: Number(match[2]) }];
    });
}

export function readSlotMemo(value: unknown): SlotMemo | null {
  return read(slotMemoSchema, value);
}

export function readAppMemo(value: unknown): AppMemo | null {
  return read(appMemoSchema, value);
}

export function readStepMemo(value: unknown): StepMemo | null {
  return read(stepMemoSchema, value);
}

function read<T>(schema: v.GenericSchema<unknown, T>, value: unknown): T | null {
  const parsed = v.safeParse(schema, value);
  return parsed.success ? parsed.output : null;
}
