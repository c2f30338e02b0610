/** What was under way at a death, as the next supervisor is told it: one note an app, and a mark that goes once somebody names the app. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { SafeMode } from '../../../supervisor/adoption/safe-mode.ts';
import type { InitClient } from '../../../supervisor/init/init-client.ts';
import { Notes } from '../../../supervisor/init/notes.ts';
import { stopApp } from '../../../supervisor/operations/stop.ts';
import type { SupervisorCore } from '../../../supervisor/supervisor.ts';
import { coreIn } from '../core.ts';

/** After so many deaths, with these notes of the supervisor before. Its clock is `pass`. */
function safeModeIn(t: TestContext, deaths: number, before: Readonly<Record<string, object>> = {}) {
  const init = { deaths, request: async () => {} } as unknown as InitClient;
  const notes = new Notes(init, assert.fail);
  notes.adopt(new Map(Object.entries(before).map(([key, value]) => [key, JSON.stringify(value)])));
  const part = coreIn(t, { apps: ['web', 'api'] });
  const timers: (() => void)[] = [];
  const env = { ...part.env, after: (_ms: number, then: () => void) => (timers.push(then), { cancel: () => {} }) };
  const core = Object.assign(part, { env, init, notes }) as unknown as SupervisorCore;
  const safe = new SafeMode(core);
  Object.assign(core, { safeMode: safe });
  safe.begin();
  return { core, notes, safe, pass: () => timers.splice(0).forEach((then) => then()) };
}

function underWay() {
  let end!: () => void, fail!: (error: Error) => void;
  const promise = new Promise<void>((resolve, reject) => ([end, fail] = [resolve, reject]));
  return { promise, end, fail };
}

const RELOAD = { app: 'web', verb: 'reload' };

test('of two operations on one app the note is there until the last has ended', async (t) => {
  const { notes, safe, pass } = safeModeIn(t, 0, { 'step:web': RELOAD, 'step:api': { app: 'api', verb: 'scale' } });
  const [first, second] = [underWay(), underWay()];
  const steps = [safe.step('reload', 'web', () => first.promise), safe.step('stop', 'web', () => second.promise)];
  assert.deepEqual(notes.read('step:web'), RELOAD);
  first.end();
  await steps[0];
  assert.deepEqual(notes.read('step:web'), { app: 'web', verb: 'stop' });
  pass();
  assert.deepEqual(notes.keys(), ['step:web'], 'what was before this supervisor is proven harmless, not what goes on now');
  second.fail(new Error('refused'));
  await assert.rejects(steps[1]!, /refused/);
  assert.deepEqual(notes.keys(), []);
});

test('an app that was set aside is no longer, once it is stopped', async (t) => {
  const { core, safe } = safeModeIn(t, 3, { 'step:web': RELOAD });
  assert.deepEqual([safe.isOn, safe.setAside('web'), safe.setAside('api')], [true, 'reload', null]);
  // The rest of a stop is another test's.
  await assert.rejects(stopApp({ core, progress: () => {} }, { app: 'web' }));
  assert.equal(safe.setAside('web'), null);
});
