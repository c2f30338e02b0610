/** The environment of workers: what the caller had at the start, until `--update-env`; and the cache of compiled code. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Home, resultOf, SHORT } from './home.ts';
import { eventually } from './eventually.ts';
import { freePort } from './ports.ts';
import { repositoryRoot } from './root.ts';
import { said } from './served.ts';

const http = join(repositoryRoot(), 'test/fixtures/apps/http.cjs');
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const hasCompileCache = major > 22 || (major === 22 && minor >= 10);

describe('environment', () => {
  test('a reload from another environment keeps the one of the start; --update-env takes the caller’s', async (t) => {
    const home = Home.open(t);
    const port = await freePort();
    // The fixture answers with BUILD.
    const covet = async (build: string, ...args: string[]): Promise<string> => {
      const result = await resultOf(home.spawn(args, { env: { BUILD: build, PORT: String(port) } }), args.join(' '));
      assert.equal(result.code, 0, said(result));
      const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } });
      return ((await response.json()) as { build: string }).build;
    };
    assert.equal(await covet('red', 'start', http, '--name', 'web', '-i', '1', '--min-healthy', '100'), 'red');
    assert.equal(await covet('blue', 'reload', 'web'), 'red');
    assert.equal(await covet('blue', 'restart', 'web'), 'red');
    assert.equal(await covet('blue', 'reload', 'web', '--update-env'), 'blue');
    assert.equal(await covet('green', 'reload', 'web'), 'blue');
  });

  test('compiled code is kept for the next worker', { skip: hasCompileCache ? false : 'this Node has no compile cache' }, async (t) => {
    const home = Home.open(t);
    const app = { ...SHORT, script: http, instances: 1, env: { PORT: String(await freePort()) } };
    await home.start(app);
    assert.equal((await home.covet('reload', 'web')).code, 0);
    const folder = join(home.path, 'state/compile-cache/web');
    const files = (): string[] => (existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : []);
    // Written as the first worker leaves.
    await eventually('files in the cache', () => files().length > 1);
    await home.start({ ...app, name: 'without', compileCache: false, env: { PORT: String(await freePort()) } });
    assert.equal((await home.covet('reload', 'without')).code, 0);
    assert.equal(existsSync(join(home.path, 'state/compile-cache/without')), false);
  });
});
