/** Which SIGKILL was for lack of memory, from what the kernel counts of the app's group. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { App } from '../../../supervisor/apps/app.ts';
import { AppGroup } from '../../../supervisor/apps/app-group.ts';
import { describeEnd, endOf } from '../../../supervisor/slots/worker-end.ts';

const SIGKILL = 9;
const killed = endOf(SIGKILL);

/** A group of which the kernel has ended `kills` processes; null: nobody counts. */
function counting() {
  const counted: { kills: number | null } = { kills: 0 };
  const cgroups = { oomKills: () => counted.kills, open: () => '/tree/app-web' };
  return { counted, group: new AppGroup({ name: 'web', config: {}, deps: { cgroups } } as unknown as App) };
}

test('a SIGKILL that the kernel counted is oom, and each count is of one worker', () => {
  const { counted, group } = counting();
  group.open();
  assert.equal(group.explain(killed).oom, false, 'nothing was counted');
  counted.kills = 2;
  assert.deepEqual(group.explain(killed), { code: null, signal: 'SIGKILL', oom: true });
  assert.equal(group.explain(killed).oom, true, 'two at once');
  assert.equal(group.explain(killed).oom, false);
  assert.equal(describeEnd({ ...killed, oom: true }), 'was ended by SIGKILL, out of memory (oom)');
});

test('no other end is, nor one where nobody counts', () => {
  const { counted, group } = counting();
  counted.kills = 1;
  assert.equal(group.explain(endOf(1 << 8)).oom, false);
  assert.equal(group.explain(endOf(15)).oom, false);
  counted.kills = null;
  assert.equal(group.explain(killed).oom, false);
});

test("what was counted before a worker began, a worker's child for one, is not held against it", () => {
  const { counted, group } = counting();
  counted.kills = 3;
  group.watch();
  assert.equal(group.explain(killed).oom, false);
  counted.kills = 4;
  group.open();
  assert.equal(group.explain(killed).oom, false);
});
