/** The life of a slot: the way through, every way out, and random walks that never leave a process behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SLOT_STATES, type SlotState } from '../../../supervisor/protocol/states.ts';
import { hasProcess, SLOT_TABLE, stepSlot, type SlotEvent } from '../../../supervisor/slots/slot-machine.ts';
import { seededRandom, testSeed } from '../../seed.ts';

const LIMITS = { readyTimeoutMs: 60_000, drainTimeoutMs: 30_000, killTimeoutMs: 5_000 };

function walk(...events: SlotEvent[]): { states: SlotState[]; effects: string[] } {
  let state: SlotState = 'cold';
  const states: SlotState[] = [];
  const effects: string[] = [];
  for (const event of events) {
    const step = stepSlot(state, event, LIMITS);
    if (step === null) continue;
    state = step.state;
    states.push(state);
    effects.push(...step.effects.map((effect) => (effect.type === 'signal' ? `signal ${effect.which}` : effect.type)));
  }
  return { states, effects };
}

test('a worker that is drained goes through every state in order', () => {
  const { states, effects } = walk(
    { type: 'start' },
    { type: 'running' },
    { type: 'ready' },
    { type: 'drain', reason: 'x' },
    { type: 'drained' },
    { type: 'exited', reason: 'x' },
  );
  assert.deepEqual(states, ['spawning', 'booting', 'ready', 'draining', 'stopping', 'exited']);
  assert.deepEqual(effects, ['spawn', 'arm', 'arm', 'disarm', 'beginDrain', 'arm', 'signal stop', 'arm', 'disarm', 'gone']);
});

test('a crash is told with its reason, and waits for an answer', () => {
  for (const state of ['spawning', 'booting', 'ready'] as const) {
    const { effects } = stepSlot(state, { type: 'exited', reason: 'boom' }, LIMITS)!;
    assert.deepEqual(effects.at(-1), { type: 'crashed', reason: 'boom' }, state);
  }
  assert.equal(stepSlot('exited', { type: 'retry', delayMs: 7, reason: '' }, LIMITS)!.state, 'backoff');
  assert.equal(stepSlot('backoff', { type: 'elapsed' }, LIMITS)!.state, 'spawning');
  assert.equal(stepSlot('exited', { type: 'giveUp', reason: '' }, LIMITS)!.state, 'failed');
});

test('a worker that ignores its signal is killed, and killed again', () => {
  const first = stepSlot('stopping', { type: 'elapsed' }, LIMITS)!;
  assert.deepEqual(first.effects[0], { type: 'signal', which: 'kill' });
  assert.equal(first.effects[1]!.type, 'arm');
});

test('a worker that is not ready in time is killed and counts as a crash with that reason', () => {
  const step = stepSlot('booting', { type: 'elapsed' }, LIMITS)!;
  assert.equal(step.state, 'booting');
  assert.equal(step.reason, 'was not ready within 60000 ms');
  assert.deepEqual(step.effects[0], { type: 'signal', which: 'kill' });
});

test('a slot stopped while it is spawned kills the process it then hears of', () => {
  const { states, effects } = walk({ type: 'start' }, { type: 'stop', reason: 'x' }, { type: 'running' }, { type: 'exited', reason: 'x' });
  assert.deepEqual(states, ['spawning', 'stopping', 'stopping', 'exited']);
  assert.ok(effects.includes('signal kill'));
  assert.equal(effects.at(-1), 'gone');
});

test('every state has a cell for every event', () => {
  const events = Object.keys(SLOT_TABLE.cold).sort();
  assert.deepEqual(Object.keys(SLOT_TABLE).sort(), [...SLOT_STATES].sort());
  for (const [state, row] of Object.entries(SLOT_TABLE)) assert.deepEqual(Object.keys(row).sort(), events, state);
});

test('random walks: a state that waits has a deadline, and after kill only an end follows', () => {
  const seed = testSeed();
  const random = seededRandom(seed);
  const waits: readonly SlotState[] = ['spawning', 'booting', 'draining', 'stopping', 'backoff'];
  const events: SlotEvent[] = [
    { type: 'start' },
    { type: 'running' },
    { type: 'spawnFailed', reason: 'r' },
    { type: 'ready' },
    { type: 'exited', reason: 'r' },
    { type: 'elapsed' },
    { type: 'drain', reason: 'r' },
    { type: 'drained' },
    { type: 'stop', reason: 'r' },
    { type: 'kill', reason: 'r' },
    { type: 'retry', delayMs: 1, reason: 'r' },
    { type: 'giveUp', reason: 'r' },
  ];
  for (let round = 0; round < 3_000; round++) {
    let state: SlotState = 'cold';
    let armed = false;
    for (let i = 0; i < 40; i++) {
      const event = events[Math.floor(random() * events.length)]!;
      const step = stepSlot(state, event, LIMITS);
      if (step === null) continue;
      const at = `seed ${seed}, round ${round}: ${state} on ${event.type} → ${step.state}`;
      for (const effect of step.effects) {
        if (effect.type === 'arm') armed = true;
        if (effect.type === 'disarm') armed = false;
      }
      if (waits.includes(step.state)) assert.ok(armed, `${at}: nothing ends it`);
      if (hasProcess(state) && !hasProcess(step.state))
        assert.ok(event.type === 'exited' || event.type === 'spawnFailed', `${at}: a process was forgotten`);
      state = step.state;
    }
  }
});
