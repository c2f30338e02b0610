/** Keys say whose they are, whatever the app's name holds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groupKey, readGroupKey, readWorkerKey, workerKey } from '../../../supervisor/init/keys.ts';
import { slotMemoKey, slotsOf } from '../../../supervisor/state/memos.ts';

for (const app of ['web', 'web-2', 'w-1-2-3-4', 'a:b', '-']) {
  test(`keys of ${app} are read back`, () => {
    const worker = { app, generation: 12, slot: 3, count: 40 };
    assert.deepEqual(readWorkerKey(workerKey(worker)), worker);
    assert.deepEqual(readGroupKey(groupKey({ app, count: 7 })), { app, count: 7 });
    const keys = [slotMemoKey(app, 12, 3), slotMemoKey(app, 13, 0), slotMemoKey(`${app}x`, 1, 1), slotMemoKey(`x:${app}`, 1, 1)];
    assert.deepEqual(slotsOf(app, keys), [
      { generation: 12, slot: 3 },
      { generation: 13, slot: 0 },
    ]);
  });
}

test('what is no key is no key', () => {
  for (const key of ['', 'w-', 'w-web-1-2', 'x-web-1-2-3', 'w--1-2-3']) assert.equal(readWorkerKey(key), null, key);
  for (const key of ['', 'web', 'web-', '-1']) assert.equal(readGroupKey(key), null, key);
});
