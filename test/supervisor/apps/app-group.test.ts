/** Whose end an oom kill of the app's cgroup was: one of a worker, each told once, over supervisors too. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppGroup } from '../../../supervisor/apps/app-group.ts';
import type { App } from '../../../supervisor/apps/app.ts';

const KILLED = { code: null, signal: 'SIGKILL', oom: false } as const;

/** A group whose cgroup counts what the test says. */
function group(counted: { kills: number | null }): AppGroup {
  return new AppGroup({ name: 'web', deps: { cgroups: { oomKills: () => counted.kills } } } as unknown as App);
}

test('an end by SIGKILL is for lack of memory when one more was counted, once', () => {
  const counted = { kills: 3 };
  const app = group(counted);
  app.watch();
  assert.equal(app.explain(KILLED).oom, false);
  counted.kills = 4;
  assert.equal(app.explain({ ...KILLED, signal: 'SIGTERM' }).oom, false);
  assert.equal(app.explain(KILLED).oom, true);
  assert.equal(app.explain(KILLED).oom, false);
});

test('one that came while there was no supervisor is told by the next', () => {
  const counted = { kills: 3 };
  const before = group(counted);
  before.watch();
  counted.kills = 4;
  const next = group(counted);
  next.adopt(before.oomKills);
  assert.equal(next.explain(KILLED).oom, true);
  const later = group(counted);
  later.adopt(next.oomKills);
  assert.equal(later.explain(KILLED).oom, false);
});

test('of a supervisor that counted nothing nothing is concluded', () => {
  const app = group({ kills: 7 });
  app.adopt(null);
  assert.equal(app.explain(KILLED).oom, false);
  assert.equal(group({ kills: null }).explain(KILLED).oom, false);
});
