/** `loaded` is told when the entry has been evaluated: not while a CommonJS module runs, nor while an ES module awaits at its top level. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { FakeSupervisor, fixture, type Worker, type WorkerOptions } from './harness.ts';

function load(t: TestContext, script: string, options: WorkerOptions = {}): Worker {
  return FakeSupervisor.for(t).spawn(fixture(`worker/${script}`), options);
}

/** What was told of its loading, in order. */
function story({ messages }: Worker): unknown[] {
  return messages.flatMap((message) => (message.t === 'message' ? [message.data] : message.t === 'loaded' ? ['loaded'] : []));
}

test('a CommonJS entry is loaded once it has run', async (t) => {
  const worker = load(t, 'loads.cjs');
  await worker.until('loaded');
  assert.deepEqual(story(worker), ['evaluated', 'loaded']);
});

test('an ES module is loaded once its top-level awaits have ended, and is evaluated once', async (t) => {
  const worker = load(t, 'loads.mjs');
  await worker.until('loaded');
  assert.deepEqual(story(worker), ['evaluated 1', 'loaded']);
});

for (const script of ['loads.cjs', 'loads.mjs']) {
  test(`${script} that throws is never loaded`, async (t) => {
    const worker = load(t, script, { args: ['throws'] });
    assert.equal((await worker.ended).code, 1);
    assert.deepEqual(story(worker), []);
  });
}

test('an ES module that awaits for ever is never loaded, whatever else it does', async (t) => {
  const worker = load(t, 'loads.mjs', { args: ['never'] });
  await worker.until('hello');
  worker.send({ t: 'message', data: 'ask' });
  await worker.until('message');
  assert.deepEqual(story(worker), ['answered']);
});

test('an entry that throws what the app catches is loaded', async (t) => {
  const worker = load(t, 'loads.mjs', { args: ['catches'] });
  await worker.until('loaded');
  assert.deepEqual(story(worker), ['caught', 'loaded']);
});

test('a supervisor that did not start it is told again', async (t) => {
  const worker = load(t, 'loads.mjs');
  await worker.until('loaded');
  worker.send({ t: 'hello', min: 1, max: 1 });
  await worker.until('loaded', (message) => message !== worker.messages.find(({ t: kind }) => kind === 'loaded'));
});

test('where other code runs before the entry, the entry stays the one that node loads', async (t) => {
  const slowly = 'data:text/javascript,await new Promise((resolve) => setTimeout(resolve, 300))';
  const worker = load(t, 'loads.cjs', { nodeArgs: ['--import', slowly] });
  await worker.until('message');
  assert.deepEqual(story(worker), ['loaded', 'evaluated']);
});
