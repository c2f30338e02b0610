/** What becomes of an app whose supervisor died: every state it can be found in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideAdoption, type Found } from '../../../supervisor/adoption/adoption-policy.ts';

const found = (more: Partial<Found>): Found => ({
  isWanted: true,
  isDeleting: false,
  live: 3,
  generations: [3],
  drainable: [],
  hasSockets: true,
  isUp: true,
  failed: null,
  ...more,
});

test('an app that runs, runs on', () => {
  assert.deepEqual(decideAdoption(found({})), { plan: { phase: 'running', live: 3 }, keep: [3], kill: [] });
});

test('one that was not up yet goes on starting', () => {
  assert.deepEqual(decideAdoption(found({ isUp: false })), { plan: { phase: 'starting', live: 3 }, keep: [3], kill: [] });
});

test('before the flip is on disk the new generation is ended, after it the old one drains', () => {
  assert.deepEqual(decideAdoption(found({ generations: [3, 4] })), { plan: { phase: 'running', live: 3 }, keep: [3], kill: [4] });
  assert.deepEqual(decideAdoption(found({ live: 4, generations: [3, 4] })), {
    plan: { phase: 'settling', live: 4, retired: 3 },
    keep: [4, 3],
    kill: [],
  });
});

test('a new generation that the kernel may have given connections drains, unless an old one does', () => {
  assert.deepEqual(decideAdoption(found({ generations: [3, 4], drainable: [3, 4] })), {
    plan: { phase: 'settling', live: 3, retired: 4 },
    keep: [3, 4],
    kill: [],
  });
  assert.deepEqual(decideAdoption(found({ generations: [2, 3, 4], drainable: [2, 3, 4] })), {
    plan: { phase: 'settling', live: 3, retired: 2 },
    keep: [3, 2],
    kill: [4],
  });
});

test('leftovers of earlier generations beside the one that drains are ended', () => {
  assert.deepEqual(decideAdoption(found({ live: 5, generations: [2, 4, 5, 6] })), {
    plan: { phase: 'settling', live: 5, retired: 4 },
    keep: [5, 4],
    kill: [2, 6],
  });
});

test('a live generation whose workers all died is taken over for its sockets: connections wait in them', () => {
  assert.deepEqual(decideAdoption(found({ generations: [] })), { plan: { phase: 'running', live: 3 }, keep: [3], kill: [] });
});

test('an app of which nothing is there is started as after a boot', () => {
  assert.equal(decideAdoption(found({ generations: [], hasSockets: false })), null);
  assert.equal(decideAdoption(found({ isWanted: false, generations: [], hasSockets: false })), null);
});

test('a candidate beside which nothing of the live generation is left is ended, and the app started anew', () => {
  assert.deepEqual(decideAdoption(found({ generations: [4], hasSockets: false })), {
    plan: { phase: 'stopped', failed: null },
    keep: [],
    kill: [4],
  });
});

test('a stop that was under way ends; what was never flipped to is ended at once', () => {
  assert.deepEqual(decideAdoption(found({ isWanted: false, live: 4, generations: [3, 4, 5] })), {
    plan: { phase: 'stopping', then: 'stopped', failed: null },
    keep: [3, 4],
    kill: [5],
  });
});

test('so does a delete', () => {
  const plan = { phase: 'stopping', then: 'deleted', failed: null };
  assert.deepEqual(decideAdoption(found({ isWanted: false, isDeleting: true })), { plan, keep: [3], kill: [] });
});

test('an app that failed stays failed', () => {
  assert.deepEqual(decideAdoption(found({ failed: 'it never was ready', generations: [3] })), {
    plan: { phase: 'stopped', failed: 'it never was ready' },
    keep: [],
    kill: [3],
  });
});
