/**
 * A `probe` is asked of the very worker that wants to be ready, however its connections come to it, and is never taken as passed unasked: a build
 * whose health answer is 500 does not go live, and where a probe cannot be aimed the app does not start.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { Home, type TestApp } from './home.ts';
import { freePort } from './ports.ts';
import { refusingHost } from './refusing-host.ts';
import { Deployment } from './release.ts';
import { said } from './served.ts';
import { further } from './tier.ts';

const SICK = `require('node:http').createServer((request, response) => response.writeHead(500).end()).listen(WHERE)`;
/** Says by its answer whose connection it has: a client of this host. */
const LOOKS = `
  const { createServer } = require('node:http');
  createServer(({ socket }, response) => response.writeHead(/^(::ffff:)?127\\.0\\.0\\.1$/.test(socket.remoteAddress) ? 200 : 403).end()).listen(WHERE)`;
/** Serves on what it was given as LISTEN_FDS; its answer is STATUS. */
const PYTHON = `
import http.server, os, socket
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(os.environ["STATUS"]))
        self.end_headers()
server = http.server.HTTPServer(("", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=3)
server.serve_forever()
`;
const LIMITS = { minHealthyMs: 150, readyTimeoutMs: 3_000, restart: { startsMax: 1 } } as const;

interface Way {
  readonly app: string;
  /** What it listens on, as an expression. */
  readonly where: string;
  readonly prefix?: readonly string[];
  readonly execMode?: 'fork';
}

describe('probes', () => {
  const hostWithout = refusingHost();
  const ownPorts = 'Number(process.env.PORT) + Number(process.env.NODE_APP_INSTANCE)';
  const WAYS: Readonly<Record<string, () => Way>> = {
    'where the kernel refuses the program': () => ({ app: 'http.cjs', where: 'process.env.PORT', prefix: hostWithout('bpf') }),
    'of a Unix path': () => ({ app: 'unix-listener.cjs', where: 'process.env.SOCKET' }),
    'of addresses that the workers bind themselves': () => ({ app: 'port-plus-instance.cjs', where: ownPorts, execMode: 'fork' }),
  };

  for (const [name, way] of Object.entries(WAYS)) {
    test(`${name}: a build whose health is 500 does not go live, one that answers does`, async (t) => {
      const { app, where, prefix = [], ...config } = way();
      const home = Home.open(t, { prefix });
      const deployment = new Deployment(join(home.work, 'app'), app);
      const env = { PORT: String(await freePort()), SOCKET: join(home.work, 'app.sock') };
      await home.start({
        script: deployment.script,
        cwd: deployment.folder,
        instances: 2,
        ...LIMITS,
        ...config,
        env,
        probe: { path: '/healthz' },
      });
      const before = (await home.pids())[1];
      deployment.release('r2', app, SICK.replace('WHERE', where));
      const result = await home.covet('reload', 'web');
      assert.equal(result.code, 1, `${said(result)}\n${await home.history()}`);
      assert.match(result.stderr, /GET \/healthz answered 500/);
      const given = 'The old build starts again in each slot that was given up for the new one.';
      assert.ok(result.stderr.endsWith(` ${app === 'port-plus-instance.cjs' ? given : 'The old workers serve on.'}\n`), result.stderr);
      assert.equal((await home.pids())[1], before);
      deployment.release('r3', app, app === 'unix-listener.cjs' ? undefined : LOOKS.replace('WHERE', where));
      const good = await home.covet('reload', 'web');
      assert.equal(good.code, 0, said(good));
      assert.notEqual((await home.pids())[1], before);
    });
  }

  test('one that says `ready` before it listens is asked once it listens', further, async (t) => {
    const home = Home.open(t);
    const deployment = new Deployment(join(home.work, 'app'), 'app.cjs');
    deployment.release('r2', 'app.cjs', `process.send('ready'); setTimeout(() => ${SICK.replace('WHERE', '0')}, 300);`);
    const result = await home.tryStart({ script: deployment.script, instances: 1, ...LIMITS, readiness: 'signal', probe: { path: '/' } });
    assert.equal(result.code, 1, said(result));
    assert.match(result.stdout, /GET \/ answered 500/);
  });

  test('one whose first server is sick and closes is asked at the next', further, async (t) => {
    const home = Home.open(t);
    const deployment = new Deployment(join(home.work, 'app'), 'app.cjs');
    const first = await freePort();
    deployment.release(
      'r2',
      'app.cjs',
      `const { createServer } = require('node:http');
       const installer = createServer((request, response) => response.writeHead(503).end(() => installer.close(serve))).listen(${first});
       const serve = () => createServer((request, response) => response.end('ok')).listen(${await freePort()});`,
    );
    const result = await home.tryStart({ script: deployment.script, instances: 1, ...LIMITS, probe: { path: '/healthz' } });
    assert.equal(result.code, 0, said(result));
  });

  test('one that says `ready` and never listens is not', further, async (t) => {
    const home = Home.open(t);
    const deployment = new Deployment(join(home.work, 'app'), 'app.cjs');
    deployment.release('r2', 'app.cjs', "process.send('ready'); setInterval(() => {}, 1_000);");
    const result = await home.tryStart({ script: deployment.script, instances: 1, ...LIMITS, readiness: 'signal', probe: { path: '/' } });
    assert.equal(result.code, 1, said(result));
    assert.match(result.stdout, /it has no server that could answer GET \//);
  });

  for (const [status, code] of [
    [200, 0],
    [500, 1],
  ] as const) {
    test(`a program that is not Node is steered to: it answers ${status}`, async (t) => {
      const { home, app } = await python(t, { STATUS: String(status) });
      const result = await home.tryStart({ ...app, listen: [`tcp://127.0.0.1:${await freePort()}`] });
      assert.equal(result.code, code, `${said(result)}\n${await home.history()}`);
      if (code === 1) assert.match(result.stdout, /GET \/ answered 500/);
    });
  }

  test('a program that is not Node is refused where the kernel cannot steer to it', async (t) => {
    const { home, app } = await python(t, { STATUS: '200' }, hostWithout('bpf'));
    const address = `tcp://127.0.0.1:${await freePort()}`;
    const refused = await home.tryStart({ ...app, listen: [address] });
    assert.equal(refused.code, 1, said(refused));
    assert.match(refused.stdout, new RegExp(`COVET_ERR_APP_PROBE.*got ${address} by hash\\. Without \`probe\` it starts`));
    await home.covet('delete', 'web');
    const { probe: _, ...without } = app;
    await home.start({ ...without, listen: [address] });
  });

  test('a program that is not Node and binds by itself is refused a probe', async (t) => {
    const { home, app } = await python(t, { STATUS: '200' });
    const refused = await home.tryStart(app);
    assert.equal(refused.code, 1, said(refused));
    assert.match(refused.stdout, /COVET_ERR_APP_PROBE.*got nothing there/);
  });
});

async function python(
  t: TestContext,
  env: Record<string, string>,
  prefix: readonly string[] = [],
): Promise<{ home: Home; app: TestApp & { probe: object } }> {
  const home = Home.open(t, { prefix });
  const deployment = new Deployment(join(home.work, 'app'), 'app.py');
  deployment.release('r2', 'app.py', PYTHON);
  return { home, app: { script: deployment.script, instances: 2, ...LIMITS, probe: { path: '/' }, env } };
}
