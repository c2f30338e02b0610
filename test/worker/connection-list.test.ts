import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionList, type Listed } from '../../worker/connection-list.ts';
import { seededRandom, testSeed } from '../seed.ts';

const STEPS = 20_000;
const MEMBERS = 40;

test('a list of connections holds what a Set would, whatever comes and goes', () => {
  const seed = testSeed();
  const random = seededRandom(seed);
  const members: readonly Listed[] = Array.from({ length: MEMBERS }, () => ({ place: -1 }));
  const list = new ConnectionList<Listed>();
  const set = new Set<Listed>();
  for (let step = 0; step < STEPS; step++) {
    const member = members[Math.floor(random() * MEMBERS)]!;
    if (random() < 0.5) {
      list.delete(member);
      set.delete(member);
    } else if (!set.has(member)) {
      list.add(member);
      set.add(member);
    }
    assert.equal(list.size, set.size, `COVET_TEST_SEED=${seed}, step ${step}`);
    if (step % 100 === 0) assert.deepEqual(new Set(list), set, `COVET_TEST_SEED=${seed}, step ${step}`);
  }
});

test('every member that was in a list when one began to look is seen, though they leave meanwhile', () => {
  const list = new ConnectionList<Listed>();
  const members = Array.from({ length: 5 }, () => ({ place: -1 }));
  for (const member of members) list.add(member);
  const seen: Listed[] = [];
  for (const member of list) {
    seen.push(member);
    list.delete(member);
  }
  assert.deepEqual(seen, members);
  assert.equal(list.size, 0);
});
