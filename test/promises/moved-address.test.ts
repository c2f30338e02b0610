/**
 * A reload whose environment moves the app to another address goes live there: until the flip the old address loses nothing, then it is closed.
 * A build that listens elsewhere with the same environment is a bad build.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { Wire } from '../load/wire.ts';
import type { CommandResult } from './home.ts';
import { resultOf } from './home.ts';
import { freePort } from './ports.ts';
import { refusingHost } from './refusing-host.ts';
import { repositoryRoot } from './root.ts';
import { said, Served, type ServedOptions, stopAll } from './served.ts';
import { further } from './tier.ts';

/** Listens on MOVED where that is set, and on PORT where not. */
const MOVES = `
process.env.BUILD = 'r2';
process.env.PORT = process.env.MOVED ?? process.env.PORT;
require(${JSON.stringify(join(repositoryRoot(), 'test/fixtures/apps/http.cjs'))});
`;
const LIMITS = { readyTimeoutMs: 5_000 } as const;

async function serve(
  t: TestContext,
  options: Partial<ServedOptions> = {},
): Promise<{ served: Served; moved: number; key: (port: number) => string }> {
  const served = await Served.start(t, { app: 'http.cjs', ...options, config: LIMITS });
  served.deployment.release('r2', 'http.cjs', MOVES);
  return { served, moved: await freePort(), key: (port) => `tcp://[::]:${port}` };
}

async function reloadWith({ home }: Served, env: Record<string, string>): Promise<CommandResult> {
  return resultOf(home.spawn(['reload', 'web', '--update-env'], { env }), 'reload --update-env');
}

async function buildAt(port: number): Promise<string> {
  const wire = await Wire.open({ host: '127.0.0.1', port, tls: false }, 10_000);
  wire.write('GET /?token=x HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n');
  const { body } = await wire.response({ deadlineMs: 10_000 });
  wire.close();
  return (JSON.parse(body.toString()) as { build: string }).build;
}

describe('an address that moves', () => {
  const hostWithout = refusingHost();

  test('with the environment is served by the new build, and the old one is closed once its clients were answered', async (t) => {
    const { served, moved, key } = await serve(t);
    const events = await served.home.events();
    const loads = await served.beginAll([
      { client: 'reconnect', connections: 8 },
      { client: 'keepAlive', connections: 4, thinkMs: [0, 50] },
    ]);
    const result = await reloadWith(served, { MOVED: String(moved) });
    assert.equal(result.code, 0, `${said(result)}\n${await served.home.history()}`);
    const closed = await events.waitFor('listener.changed', (event) => event.listener === key(served.port) && event.to === 'closed');
    assert.equal(closed.reason, 'the new generation listens elsewhere');
    // Refused is who came after the flip; whoever had a connection, or waited for one, was answered.
    for (const { tally } of await stopAll(loads)) {
      const { refused, ...others } = tally.lostBy;
      assert.ok(
        Object.values(others).every((count) => count === 0),
        JSON.stringify(tally),
      );
      t.diagnostic(`${tally.client}: ${tally.answered} answered, ${refused} refused`);
    }
    assert.equal(await buildAt(moved), 'r2');
    await assert.rejects(buildAt(served.port), /ECONNREFUSED|refused/);
    const { listeners } = (await served.home.covet('describe', 'web', '--json')).as('describe');
    assert.deepEqual(
      listeners.map(({ listener, condition }) => [listener, condition]),
      [[key(moved), 'open']],
    );
    await served.reload();
  });

  test('moves where the kernel refuses the program, too', further, async (t) => {
    const { served, moved } = await serve(t, { prefix: hostWithout('bpf') });
    const result = await reloadWith(served, { MOVED: String(moved) });
    assert.equal(result.code, 0, `${said(result)}\n${await served.home.history()}`);
    assert.equal(await buildAt(moved), 'r2');
    await assert.rejects(buildAt(served.port), /ECONNREFUSED|refused/);
  });

  test('with the build alone fails the reload, whose address is free again', further, async (t) => {
    const { served, key } = await serve(t);
    const events = await served.home.events();
    served.deployment.release('r3', 'wrong-port.cjs');
    const result = await reloadWith(served, {});
    assert.equal(result.code, 1, `${said(result)}\n${await served.home.history()}`);
    assert.match(result.stderr, /0 of 2 workers listen on tcp:.* The old workers serve on\.\n$/);
    await events.waitFor('listener.changed', (event) => event.listener === key(served.port + 7) && event.to === 'closed');
    assert.deepEqual((await served.home.app()).listen, [key(served.port)]);
  });

  test('is not taken for one that is missing', further, async (t) => {
    const { served } = await serve(t);
    served.deployment.release('r3', 'never-listens.cjs');
    const result = await reloadWith(served, { OTHER: '1' });
    assert.equal(result.code, 1, said(result));
    assert.equal(await buildAt(served.port), 'r1');
  });
});
