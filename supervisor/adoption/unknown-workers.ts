/**
 * Workers of apps that the list of what is wanted has lost: nobody can say that they are not wanted. They serve on, unsupervised, and their lines
 * go on into their files.
 */
import { parse } from 'valibot';
import type { Held } from '../init/held.ts';
import { readWorkerKey } from '../init/keys.ts';
import type { LogStore } from '../logs/log-store.ts';
import { appConfigSchema } from '../protocol/config.ts';

/** Of what is left in `held`. A log that cannot be opened is said, and no reason to be without a supervisor. */
export async function keepWriting(logs: LogStore, held: Held): Promise<void> {
  const options = parse(appConfigSchema.entries.logs, undefined);
  for (const { key, out, err } of held.workers.values()) {
    const parts = readWorkerKey(key);
    if (parts === null) continue;
    try {
      await logs.open(parts.app, options);
      logs.attach(parts.app, parts.slot, out, err);
    } catch (error) {
      logs.say(parts.app, (error as Error).message);
    }
  }
}
