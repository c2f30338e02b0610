/** Who accepts for which slot: always somebody where anybody takes, spread, and told only when it changes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StandIns, type Taker } from '../../../supervisor/listeners/stand-ins.ts';
import { seededRandom, testSeed } from '../../seed.ts';

const SLOTS = 8;
const STEPS = 2_000;

/** `0+2`: the worker in slot 0 accepts for slot 2 too; `0-2`: no longer. Those of generation 0 cannot be told. */
function recorder(): { standIns: StandIns; said: () => string[] } {
  const told: string[] = [];
  const standIns = new StandIns(({ generation, slot: by }, slot, fd) => {
    if (generation === 0) return false;
    told.push(`${by}${fd === null ? '-' : '+'}${slot}`);
    return true;
  });
  return { standIns, said: () => told.splice(0) };
}

const takers = (slots: readonly number[], generation = 1): Taker[] => slots.map((slot) => ({ generation, slot }));
const sockets = (count: number): Map<number, number> => new Map(Array.from({ length: count }, (_, slot) => [slot, 100 + slot]));

test('slots without a worker are spread over those with one, and nothing is said twice', () => {
  const { standIns, said } = recorder();
  standIns.update(takers([0, 1, 2, 3, 4, 5]), sockets(6));
  assert.deepEqual(said(), []);
  standIns.update(takers([0, 1]), sockets(6));
  assert.deepEqual(said(), ['0+2', '1+3', '0+4', '1+5']);
  standIns.update(takers([0, 1]), sockets(6));
  assert.deepEqual(said(), []);
});

test('a slot that has a worker again is given back, and a successor is told before who stood in', () => {
  const { standIns, said } = recorder();
  standIns.update(takers([0, 1]), sockets(4));
  said();
  standIns.update(takers([0, 1, 2]), sockets(4));
  assert.deepEqual(said(), ['0-2', '0+3', '1-3']);
});

test('one that left is told nothing, and its place is taken; with nobody left there is nobody to tell', () => {
  const { standIns, said } = recorder();
  standIns.update(takers([0, 1]), sockets(3));
  standIns.update(takers([1]), sockets(3));
  assert.deepEqual(said(), ['0+2', '1+0', '1+2']);
  standIns.update([], sockets(3));
  standIns.update(takers([1], 2), sockets(3));
  assert.deepEqual(said(), ['1+0', '1+2']);
});

test('who cannot be told is passed over', () => {
  const { standIns, said } = recorder();
  standIns.update([...takers([0], 0), ...takers([1])], sockets(3));
  assert.deepEqual(said(), ['1+2']);
  standIns.update([...takers([0], 0), ...takers([1])], sockets(3));
  assert.deepEqual(said(), []);
});

test('whoever comes and goes, each socket has exactly one worker while any takes', () => {
  const seed = testSeed();
  const random = seededRandom(seed);
  const { standIns, said } = recorder();
  /** `by slot`: who accepts from what, as the workers know it. */
  const accepts = new Set<string>();
  let taking: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    taking = Array.from({ length: SLOTS }, (_, slot) => slot).filter((slot) => taking.includes(slot) === random() < 0.8);
    standIns.update(takers(taking), sockets(SLOTS));
    // With its listening a worker ends what it stood in for.
    for (const pair of accepts) if (!taking.includes(Number(pair.split(' ')[0]))) accepts.delete(pair);
    for (const word of said()) {
      const [by, slot] = word.split(/[+-]/);
      assert.ok(
        word.includes('+') ? !accepts.has(`${by} ${slot}`) : accepts.delete(`${by} ${slot}`),
        `${word} at step ${step}, seed ${seed}`,
      );
      if (word.includes('+')) accepts.add(`${by} ${slot}`);
    }
    for (let slot = 0; slot < SLOTS && taking.length > 0; slot++) {
      const own = taking.includes(slot) ? 1 : 0;
      const others = [...accepts].filter((pair) => pair.endsWith(` ${slot}`)).length;
      assert.equal(own + others, 1, `slot ${slot} at step ${step}, seed ${seed}`);
    }
  }
});
