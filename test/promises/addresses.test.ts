/**
 * What an app may do with its addresses, from `start` to the addresses that `list` shows to whoever asks there: any port, a port for each
 * instance, close and listen again, and in fork mode addresses that each worker binds itself.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { Answer } from '../load/tally.ts';
import { Home, SHORT, type TestApp } from './home.ts';
import { freePort } from './ports.ts';
import { repositoryRoot } from './root.ts';
import { said } from './served.ts';

async function started(t: TestContext, fixture: string, config: Partial<TestApp>): Promise<Home> {
  const home = Home.open(t);
  await home.start({ ...SHORT, script: join(repositoryRoot(), 'test/fixtures/apps', fixture), instances: 2, ...config });
  return home;
}

/** Many connections, so that whoever may answer does. */
async function answers(port: number, path = '/', count = 30): Promise<Answer[]> {
  const one = async (): Promise<Answer> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } });
    return (await response.json()) as Answer;
  };
  return Promise.all(Array.from({ length: count }, one));
}

const slotsOf = (given: readonly Answer[]): string[] => [...new Set(given.map(({ slot }) => String(slot)))].toSorted();

async function reload(home: Home): Promise<string> {
  const result = await home.covet('reload', 'web', '--json');
  assert.equal(result.code, 0, said(result));
  return result.as('reload').mode;
}

describe('addresses', () => {
  test('the n-th listen(0) is one port of all workers, in `list`, and the same after a reload', async (t) => {
    const home = await started(t, 'port-zero.cjs', { env: { PORT: '0' } });
    const { listen } = await home.app();
    const ports = listen.map((address) => Number(/^tcp:\/\/\[::\]:(\d+)$/.exec(address)?.[1]));
    assert.equal(new Set(ports).size, 2, listen.join(' '));
    for (const port of ports) assert.deepEqual(slotsOf(await answers(port)), ['0', '1']);
    assert.equal(await reload(home), 'overlap');
    assert.deepEqual((await home.app()).listen.toSorted(), listen.toSorted());
    for (const port of ports) assert.deepEqual(slotsOf(await answers(port)), ['0', '1']);
  });

  test('a port for each instance is answered by that instance alone, before and after a reload', async (t) => {
    const port = await freePort();
    const home = await started(t, 'port-plus-instance.cjs', { env: { PORT: String(port) } });
    for (const mode of ['overlap', 'overlap']) {
      assert.deepEqual((await home.app()).listen.toSorted(), [`tcp://[::]:${port}`, `tcp://[::]:${port + 1}`]);
      assert.deepEqual(slotsOf(await answers(port)), ['0']);
      assert.deepEqual(slotsOf(await answers(port + 1)), ['1']);
      assert.equal(await reload(home), mode);
    }
  });

  test('a server that is closed and listens again is in `list` and answers', async (t) => {
    const port = await freePort();
    const home = await started(t, 'closes-and-relistens.cjs', { env: { PORT: String(port) } });
    for (let i = 0; i < 3; i++) {
      assert.equal((await answers(port, '/relisten', 1)).length, 1);
      assert.deepEqual((await home.app()).listen, [`tcp://[::]:${port}`]);
      assert.deepEqual(slotsOf(await answers(port)), ['0', '1']);
    }
  });

  test('in fork mode each of several binds its own, `doctor` says so, and a reload replaces one after the other', async (t) => {
    const port = await freePort();
    const home = await started(t, 'port-plus-instance.cjs', { execMode: 'fork', env: { PORT: String(port) } });
    const events = await home.events();
    const client = await home.client();
    const view = await client.describe({ app: 'web' });
    assert.deepEqual([view.mode, view.reload, view.listen], ['self-bound', 'replace', []]);
    assert.match((await home.covet('doctor')).stdout, /web: listeners\s+it binds by itself/);
    const old = await home.pids();
    assert.equal(await reload(home), 'replace');
    assert.deepEqual(slotsOf(await answers(port)), ['0']);
    assert.deepEqual(slotsOf(await answers(port + 1)), ['1']);
    const order = await Promise.all([
      events.waitFor('worker.exited', ({ pid }) => pid === old[0]),
      events.waitFor('slot.changed', ({ slot, to, generation }) => slot === 0 && to === 'ready' && generation === view.generation + 1),
      events.waitFor('worker.exited', ({ pid }) => pid === old[1]),
      events.waitFor('slot.changed', ({ slot, to, generation }) => slot === 1 && to === 'ready' && generation === view.generation + 1),
    ]);
    const seqs = order.map(({ seq }) => seq);
    assert.deepEqual(
      seqs,
      seqs.toSorted((a, b) => a - b),
      'one slot after the other, the old worker first',
    );
  });
});
