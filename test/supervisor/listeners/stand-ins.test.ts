/** Who accepts for which slot: always somebody where anybody takes, spread, and told only when it changes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StandIns, unheld, untaken, type Taker } from '../../../supervisor/listeners/stand-ins.ts';
import { seededRandom, testSeed } from '../../seed.ts';

const SLOTS = 8;
const STEPS = 2_000;

/** `0+2`: the worker in slot 0 accepts for slot 2 too; `0-2`: no longer. Those of generation 0 cannot be told. */
function recorder(): { update: (held: readonly Taker[], count: number) => void; said: () => string[] } {
  const told: string[] = [];
  const standIns = new StandIns(({ generation, slot: by }, { slot }, fd) => {
    if (generation === 0) return false;
    told.push(`${by}${fd === null ? '-' : '+'}${slot}`);
    return true;
  });
  return { update: (held, count) => standIns.update(held, untaken(sockets(count), held)), said: () => told.splice(0) };
}

const takers = (slots: readonly number[], generation = 1): Taker[] => slots.map((slot) => ({ generation, slot }));
const sockets = (count: number): Map<number, number> => new Map(Array.from({ length: count }, (_, slot) => [slot, 100 + slot]));

test('slots without a worker are spread over those with one, and nothing is said twice', () => {
  const { update, said } = recorder();
  update(takers([0, 1, 2, 3, 4, 5]), 6);
  assert.deepEqual(said(), []);
  update(takers([0, 1]), 6);
  assert.deepEqual(said(), ['0+2', '1+3', '0+4', '1+5']);
  update(takers([0, 1]), 6);
  assert.deepEqual(said(), []);
});

test('a slot that has a worker again is given back, and nobody else is told', () => {
  const { update, said } = recorder();
  update(takers([0, 1]), 4);
  said();
  update(takers([0, 1, 2]), 4);
  assert.deepEqual(said(), ['0-2']);
});

test('one that left is told nothing, and its place is taken; with nobody left there is nobody to tell', () => {
  const { update, said } = recorder();
  update(takers([0, 1]), 3);
  update(takers([1]), 3);
  assert.deepEqual(said(), ['0+2', '1+0', '1+2']);
  update([], 3);
  update(takers([1], 2), 3);
  assert.deepEqual(said(), ['1+0', '1+2']);
});

test('where a program chooses, both halves are looked at, and a socket that is about to have a worker is left to it', () => {
  const held = new Set(['0/0', '1/0', '1/1']);
  const vacancies = unheld([sockets(2), sockets(2)], (slot, half) => held.has(`${slot}/${half}`));
  assert.deepEqual(vacancies, [{ slot: 0, half: 1, fd: 100 }]);
});

test('who cannot be told is passed over', () => {
  const { update, said } = recorder();
  update([...takers([0], 0), ...takers([1])], 3);
  assert.deepEqual(said(), ['1+2']);
  update([...takers([0], 0), ...takers([1])], 3);
  assert.deepEqual(said(), []);
});

test('whoever comes and goes, each socket has exactly one worker while any takes', () => {
  const seed = testSeed();
  const random = seededRandom(seed);
  const { update, said } = recorder();
  /** `by slot`: who accepts from what, as the workers know it. */
  const accepts = new Set<string>();
  let taking: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    taking = Array.from({ length: SLOTS }, (_, slot) => slot).filter((slot) => taking.includes(slot) === random() < 0.8);
    update(takers(taking), SLOTS);
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
