/** What every load client runs on: its options, its account, a token per request, think time, and the word to stop. */
import { setTimeout as pause } from 'node:timers/promises';
import { DEADLINE_MS, DEADLINE_MS_MIN, type LoadOptions } from './options.ts';
import { type Answer, type Counter, Lost } from './tally.ts';

export interface Run {
  readonly options: LoadOptions;
  readonly counter: Counter;
  /** Aborted when the client shall finish what it has in hand and ask nothing more. */
  readonly stopping: AbortSignal;
  readonly deadlineMs: number;
}

/** Resolves when the client has stopped and every request is accounted for. */
export type Client = (run: Run) => Promise<void>;

/** After a loss: keeps a client whose server is down from spinning. */
const PAUSE_AFTER_LOSS_MS = 20;

let tokens = 0;

export function newRun(options: LoadOptions, counter: Counter, stopping: AbortSignal): Run {
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS;
  if (deadlineMs < DEADLINE_MS_MIN) throw new RangeError(`Expected deadlineMs to be at least ${DEADLINE_MS_MIN}, got ${deadlineMs}`);
  return { options, counter, stopping, deadlineMs };
}

/** Runs `turn` for ever on each of the client's connections, until told to stop; a loss is counted and the loop goes on. */
export async function loop(run: Run, turn: (index: number) => Promise<void>): Promise<void> {
  const one = async (index: number): Promise<void> => {
    while (!run.stopping.aborted) {
      try {
        await turn(index);
      } catch (error) {
        if (!(error instanceof Lost)) throw error;
        run.counter.lose(error);
        await rest(run, PAUSE_AFTER_LOSS_MS);
      }
    }
  };
  await Promise.all(Array.from({ length: run.options.connections }, (_, index) => one(index)));
}

/** A token no other request has; the app sends it back. */
export function newToken(): string {
  return `${process.pid}-${++tokens}`;
}

export async function think(run: Run): Promise<void> {
  const [min, max] = run.options.thinkMs ?? [0, 0];
  if (max > 0) await rest(run, min + Math.random() * (max - min));
}

/** Pauses, or less when told to stop. */
export async function rest(run: Run, ms: number): Promise<void> {
  await pause(ms, undefined, { signal: run.stopping }).catch(() => undefined);
}

/** Decodes what a fixture app answered. Throws Lost. */
export function answerOf(status: number, body: Buffer | string): Answer {
  const text = body.toString();
  if (status !== 200) throw new Lost('status', `${status} ${text.slice(0, 200)}`);
  try {
    return JSON.parse(text) as Answer;
  } catch {
    throw new Lost('body', `no JSON: ${JSON.stringify(text.slice(0, 200))}`);
  }
}
