/**
 * A socket whose worker is gone for good is not forgotten: a worker that was leaving and is killed before it has emptied its queue leaves it
 * to those who serve. Without that its clients would wait until they give up.
 */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { answerOf } from '../load/run.ts';
import { Wire } from '../load/wire.ts';
import { DEADLINE_MS_MIN } from '../load/options.ts';
import { Served } from './served.ts';
import { ALL, control } from './tier.ts';

const DEADLINE_MS = 30_000;
/** The kernel spreads them by chance: of so many none chooses the stopped worker once in 2^40 runs. */
const CLIENTS = 40;

/** Stops a worker of two, has clients connect to both, begins what makes it leave, and kills it while it drains. How many requests are lost of it. */
async function lostBy(t: TestContext, verb: string, args: readonly string[], faults = '', deadlineMs = DEADLINE_MS): Promise<number> {
  const served = await Served.start(t, { app: 'http.cjs', env: { COVET_TEST_FAULT: faults } });
  const events = await served.home.events();
  const victim = (await served.home.app()).workers.find(({ slot }) => slot === 1)!;
  process.kill(victim.pid, 'SIGSTOP');
  const wires = await Promise.all(Array.from({ length: CLIENTS }, async () => Wire.open(served.target, DEADLINE_MS)));
  const answers = wires.map(async (wire) => {
    wire.write('GET /?token=x HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n');
    const { status, body } = await wire.response({ deadlineMs });
    return answerOf(status, body);
  });
  const left = served.home.covet(verb, 'web', ...args);
  await events.waitFor('slot.changed', (event) => event.pid === victim.pid && event.to === 'draining');
  process.kill(victim.pid, 'SIGKILL');
  const results = await Promise.allSettled(answers);
  await left;
  for (const wire of wires) wire.close();
  return results.filter(({ status }) => status === 'rejected').length;
}

describe('what a worker leaves behind', () => {
  for (const [verb, ...args] of [['scale', '1'], ['reload']] as const) {
    test(`killed while it leaves by ${verb}: what waits in its queue is answered by who stays`, async (t) => {
      assert.equal(await lostBy(t, verb, args), 0);
    });

    if (!ALL && verb !== 'scale') continue;
    test(`its clients see it when nobody stands in: ${verb}`, control, async (t) => {
      assert.ok((await lostBy(t, verb, args, 'no-stand-in', DEADLINE_MS_MIN)) > 0);
    });
  }
});
