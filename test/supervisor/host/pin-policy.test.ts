/** How many workers `max` is and who is pinned where, from grants of other machines. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maxInstances, parseQuota, planPins } from '../../../supervisor/host/pin-policy.ts';

const eight = { allowed: [0, 1, 2, 3, 4, 5, 6, 7], quota: null };

test('max honours affinity and quota, and is never nothing', () => {
  assert.equal(maxInstances(eight), 8);
  assert.equal(maxInstances({ ...eight, quota: 2.5 }), 3);
  assert.equal(maxInstances({ allowed: [3], quota: 0.1 }), 1);
});

test('quotas of both cgroup versions, and their absence', () => {
  assert.equal(parseQuota('150000 100000'), 1.5);
  assert.equal(parseQuota('max 100000'), null);
  assert.equal(parseQuota('-1 100000'), null);
  assert.equal(parseQuota(' '), null);
});

test('auto pins where every worker gets a CPU of its own, and says why it does not', () => {
  assert.deepEqual(planPins('auto', 4, eight, null).cpusOf(2), [2]);
  assert.match(planPins('auto', 9, eight, null).why, /9 workers on 8 CPUs/);
  assert.match(planPins('auto', 2, { allowed: [0, 1], quota: null }, null).why, /from 4 CPUs on/);
  assert.match(planPins('auto', 4, { ...eight, quota: 4 }, null).why, /quota/);
  assert.match(planPins('auto', 4, eight, 'api').why, /`api` is pinned/);
});

test('on, none and a list are obeyed as far as the host allows', () => {
  assert.deepEqual(planPins('on', 3, { allowed: [4, 6], quota: null }, null).cpusOf(2), [4]);
  assert.equal(planPins('none', 1, eight, null).on, false);
  assert.deepEqual(planPins([5, 7], 2, eight, null).cpusOf(1), [7]);
  // A host that was given fewer CPUs since the start.
  const fewer = planPins([5, 64], 2, eight, null);
  assert.equal(fewer.on, false);
  assert.match(fewer.why, /lists CPUs 5,64, allowed here are 0,1,2,3,4,5,6,7/);
  assert.equal(planPins([], 2, eight, null).on, false);
});
