import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keepWriting } from '../../../supervisor/adoption/unknown-workers.ts';
import { Held } from '../../../supervisor/init/held.ts';
import { workerKey } from '../../../supervisor/init/keys.ts';
import type { LogStore } from '../../../supervisor/logs/log-store.ts';

test('a log that cannot be opened is said, and the others are written', async () => {
  const held = new Held(() => {});
  ['one', 'two'].forEach((app, i) =>
    held.take({ verb: 'worker', id: 0, fields: { key: workerKey({ app, generation: 1, slot: i, count: 1 }) } }, [10, 11, 20 + i, 30 + i]),
  );
  const attached: unknown[][] = [];
  const said: string[] = [];
  const logs = {
    open: async (app: string) => {
      if (app === 'one') throw new Error('EISDIR');
    },
    attach: (...source: unknown[]) => attached.push(source),
    say: (app: string, text: string) => said.push(`${app}: ${text}`),
  };
  await keepWriting(logs as unknown as LogStore, held);
  assert.deepEqual([attached, said], [[['two', 1, 21, 31]], ['one: EISDIR']]);
});
