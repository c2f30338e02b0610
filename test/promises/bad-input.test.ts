/**
 * Wrong words, wrong files, wrong places: each gets a sentence that says what to do, an exit code of the table, and leaves nothing
 * half-done: no supervisor that was not wanted, no app that nobody named.
 */
import assert from 'node:assert/strict';
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { PAGE_BYTES } from './disk.ts';
import { eventually } from './eventually.ts';
import { Home, resultOf } from './home.ts';
import { freePort } from './ports.ts';
import { Deployment } from './release.ts';
import { assertNothingLost, said, Served, stopAll } from './served.ts';
import { isAgain, isRoot } from './tier.ts';

interface Words {
  readonly args: readonly string[];
  readonly code: number;
  readonly says: RegExp;
}

/** What the schema of each field takes, and all of them together do not. */
const CONFLICTS: readonly { readonly flags: readonly string[]; readonly says: RegExp }[] = [
  { flags: ['--listen', 'foo'], says: /Expected `listen` to be tcp:.*got foo/ },
  { flags: ['--listen', '0'], says: /Expected `listen` to be .*\(not 0\)/ },
  { flags: ['--gid', '5'], says: /`gid` needs `uid`/ },
  { flags: ['--only-one', '-i', '2'], says: /`onlyOne` and `instances` 2 exclude/ },
  { flags: ['--min-healthy', '70000'], says: /`minHealthyMs` \(70000\) is longer than `readyTimeoutMs`/ },
  { flags: ['--memory-max', '2000000', '--memory-high', '3000000'], says: /`memoryHighBytes` \(3000000\) is above/ },
  { flags: ['--pin', '0,4095'], says: /Expected `pin` to be CPUs of those that the supervisor may use \([\d,-]+\), got 4095/ },
  ...(isRoot ? [] : [{ flags: ['--uid', '1'], says: /`uid` 1 needs a supervisor that runs as root/ }]),
];

const WRONG_WORDS: readonly Words[] = [
  { args: ['relaod', 'web'], code: 2, says: /Unknown command `relaod`.*Did you mean `reload`/ },
  { args: ['start', 'app.cjs', '--instancs', '2'], code: 2, says: /Unknown option `--instancs`.*Did you mean `--instances`/ },
  { args: ['start', 'missing.cjs'], code: 1, says: /missing\.cjs.*no such file/ },
  { args: ['start', 'app.cjs', '-i', '0'], code: 2, says: /instances.*1 to 1024.*0/ },
  { args: ['start', 'app.cjs', '-i', '9999'], code: 2, says: /instances.*1 to 1024.*9999/ },
  { args: ['start', 'app.cjs', '-i', 'two'], code: 2, says: /instances.*two/ },
  { args: ['start', 'folder'], code: 1, says: /folder.*directory/ },
  { args: ['start', 'app.cjs', '--env', 'NOVALUE'], code: 2, says: /KEY=value.*NOVALUE/ },
  { args: ['start', 'app.cjs', '--env', '1BAD=x'], code: 2, says: /variable name/ },
  { args: ['start', 'app.cjs', '--name', 'no spaces'], code: 2, says: /name.*no spaces/ },
  ...CONFLICTS.flatMap(({ flags, says }) => ['start', 'run'].map((verb) => ({ args: [verb, 'app.cjs', ...flags], code: 2, says }))),
  { args: ['start'], code: 2, says: /Expected.*script/ },
  { args: ['reload'], code: 2, says: /Expected.*app/ },
  { args: ['scale', 'web'], code: 2, says: /Expected.*count/ },
  { args: ['logs', 'web', '--lines', 'many'], code: 2, says: /--lines.*many/ },
  { args: ['reload', 'web'], code: 3, says: /No supervisor runs/ },
  { args: ['stop', 'web'], code: 3, says: /No supervisor runs/ },
  { args: ['ping'], code: 3, says: /No supervisor runs/ },
  { args: ['list'], code: 3, says: /No supervisor runs/ },
  { args: ['jlist'], code: 3, says: /^$/ },
];

describe('bad input without a supervisor', () => {
  for (const { args, code, says } of WRONG_WORDS) {
    test(`\`covet-pm ${args.join(' ')}\` exits ${code}, says why, and starts nothing`, async (t) => {
      const home = Home.open(t);
      writeFileSync(join(home.work, 'app.cjs'), 'setInterval(() => {}, 1000)');
      mkdirSync(join(home.work, 'folder'));
      const result = await home.covet(...args);
      assert.equal(result.code, code, said(result));
      assert.match(result.stderr, says);
      assert.ok(result.stderr.trim().split('\n').length <= 2, `more than a sentence: ${result.stderr}`);
      assert.deepEqual(home.processes(), []);
      assert.ok(!existsSync(home.path), 'a home was made');
    });
  }

  test('an unreadable script is refused', { skip: isRoot ? 'root reads everything' : false }, async (t) => {
    const home = Home.open(t);
    writeFileSync(join(home.work, 'app.cjs'), '');
    chmodSync(join(home.work, 'app.cjs'), 0);
    const result = await home.covet('start', 'app.cjs');
    assert.equal(result.code, 1, said(result));
    assert.match(result.stderr, /permission denied/);
    assert.deepEqual(home.processes(), []);
  });

  test('a home that cannot be written is refused', async (t) => {
    const home = Home.open(t);
    writeFileSync(join(home.work, 'app.cjs'), '');
    writeFileSync(join(home.work, 'file'), '');
    // A file in the way refuses root too.
    const result = await resultOf(home.spawn(['start', 'app.cjs'], { env: { COVET_HOME: join(home.work, 'file/home') } }), 'start');
    assert.equal(result.code, 1, said(result));
    assert.match(result.stderr, /COVET_HOME/);
    assert.deepEqual(home.processes(), []);
  });

  test('a home whose socket path would be too long is refused', async (t) => {
    const home = Home.open(t);
    writeFileSync(join(home.work, 'app.cjs'), '');
    const result = await resultOf(home.spawn(['start', 'app.cjs'], { env: { COVET_HOME: join(home.work, 'long'.repeat(30)) } }), 'start');
    assert.equal(result.code, 1, said(result));
    assert.match(result.stderr, /107.*shorter/);
    assert.deepEqual(home.processes(), []);
  });
});

describe('bad input to a supervisor', () => {
  test('a name that runs already is refused, and the app that has it runs on', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const before = await served.home.pids();
    const result = await served.home.tryStart({ script: served.deployment.script, instances: 1, env: { PORT: String(served.port + 1) } });
    assert.equal(result.code, 1, said(result));
    assert.match(result.stdout + result.stderr, /`?web`? exists already/);
    assert.deepEqual(await served.home.pids(), before);
  });

  test('an unknown app is named, with the near match', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    for (const verb of ['reload', 'stop', 'restart', 'describe', 'delete', 'logs']) {
      const result = await served.home.covet(verb, 'wbe');
      assert.equal(result.code, 1, `${verb}: ${said(result)}`);
      assert.match(result.stderr, /No app named `wbe`.*Did you mean `web`/, verb);
    }
  });

  test('what the fields of a config say against each other is refused of a program too, by the supervisor', async (t) => {
    const { home } = await Served.start(t, { app: 'http.cjs' });
    const client = await home.client();
    const config = { name: 'other', script: 'app.cjs', cwd: home.work };
    await assert.rejects(client.start({ config: { ...config, listen: ['foo'] } }), { code: 'COVET_ERR_CONFIG_FIELD' });
    await assert.rejects(client.start({ config: { ...config, onlyOne: true, instances: 2 } }), { code: 'COVET_ERR_CONFIG_CONFLICT' });
    await assert.rejects(client.start({ config: { ...config, pin: [4_095] } }), { code: 'COVET_ERR_CONFIG_FIELD' });
    assert.deepEqual(
      (await home.list()).apps.map(({ name }) => name),
      ['web'],
    );
  });

  test('a wanted.json that cannot be read is told by whatever shows apps', async (t) => {
    const home = Home.open(t);
    const state = join(home.path, 'state');
    mkdirSync(state, { recursive: true, mode: 0o700 });
    writeFileSync(join(state, 'wanted.json'), '{"version":1,"apps":[{"conf');
    const problem = /wanted\.json is not readable as state: .* It was kept as .*wanted\.json\.unreadable/;
    const resurrected = await home.covet('resurrect');
    assert.equal(resurrected.code, 0, said(resurrected));
    assert.match(resurrected.stderr, problem);
    assert.match((await home.covet('list')).stderr, problem);
    assert.match((await home.list()).supervisor.stateProblem ?? '', problem);
    assert.match((await home.covet('doctor')).stdout, problem);
  });

  test(
    'a wanted.json that is spoilt meanwhile is said, the version before it is used, and what runs serves on',
    { skip: isAgain ? 'shown by the first run' : false },
    async (t) => {
      const served = await Served.start(t, { app: 'http.cjs' });
      const { home } = served;
      // The version before is of before its flip.
      await served.reload();
      const running = await home.pids();
      const loads = await served.beginAll([{ client: 'keepAlive', connections: 8, thinkMs: [0, 20], keeps: true }]);
      const wanted = join(home.path, 'state/wanted.json');
      const spoilt = readFileSync(wanted, 'utf8').slice(0, -1);
      writeFileSync(wanted, spoilt);
      const { pid } = (await home.list()).supervisor;
      process.kill(pid, 'SIGKILL');
      await eventually('another supervisor', async () => (await home.list()).supervisor.pid !== pid);
      assert.match((await home.covet('list')).stderr, /wanted\.json is not readable as state: .* kept as .*unreadable.*previous is used/s);
      assert.equal(readFileSync(`${wanted}.unreadable`, 'utf8'), spoilt);
      assert.deepEqual(await home.pids(), running);
      await served.reload();
      assert.equal((await home.app()).generation, 3);
      assertNothingLost(await stopAll(loads));
    },
  );

  test('workers of an app that no wanted.json has any more serve on, and their lines go into its log', async (t) => {
    const served = await Served.start(t, { app: 'ticks.cjs' });
    const { home } = served;
    const running = await home.pids();
    for (const name of ['wanted.json', 'wanted.json.previous']) writeFileSync(join(home.path, 'state', name), '{');
    const { pid } = (await home.list()).supervisor;
    process.kill(pid, 'SIGKILL');
    await eventually('another supervisor', async () => (await home.list()).supervisor.pid !== pid);
    const log = (): string => readFileSync(home.logFile('out'), 'utf8');
    const before = log().length;
    await eventually('lines of both', () => [0, 1].every((slot) => log().slice(before).includes(`count ${slot} `)));
    const answer = (await (await fetch(`http://127.0.0.1:${served.port}/`)).json()) as { pid: number };
    assert.ok(running.includes(answer.pid));
    assert.equal((await home.covet('kill')).code, 0);
  });

  test("another app's address is refused to a second one, naming the first", async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const second = new Deployment(join(served.home.work, 'second'), 'http.cjs');
    const result = await served.home.tryStart({
      script: second.script,
      name: 'second',
      instances: 1,
      env: { PORT: String(served.port) },
      restart: { delayMs: 10, delayMaxMs: 10 },
    });
    assert.equal(result.code, 1, said(result));
    assert.match(result.stdout + result.stderr, /EADDRINUSE/);
    assert.match(`${result.stdout}${result.stderr}${served.home.log()}${(await served.home.covet('describe', 'second')).stdout}`, /web/);
    const load = await served.begin({ kind: 'reconnect', connections: 4 });
    await load.more(40);
    const tally = await load.stop();
    assert.equal(tally.lost, 0);
    assert.deepEqual(Object.keys(tally.builds), ['r1']);
  });

  test('two starts at once make one supervisor', async (t) => {
    const home = Home.open(t);
    const port = await freePort();
    const deployment = new Deployment(join(home.work, 'app'), 'http.cjs');
    const starts = await Promise.all(
      [0, 1, 2].map(async (i) =>
        home.tryStart({ script: deployment.script, name: `app${i}`, instances: 1, env: { PORT: String(port + i) }, minHealthyMs: 0 }),
      ),
    );
    for (const result of starts) assert.equal(result.code, 0, said(result));
    assert.equal((await home.list()).apps.length, 3);
    assert.equal(home.processes().filter(({ command }) => command.includes('covet-init')).length, 1);
  });

  test('a second covet-init for the same home ends and says that one runs', async (t) => {
    const served = await Served.start(t, { app: 'http.cjs' });
    const result = await resultOf(
      served.home.spawn(['run', served.deployment.script, '-i', '1', '--env', `PORT=${served.port + 1}`]),
      'run',
    );
    assert.notEqual(result.code, 0, said(result));
    assert.match(result.stderr, /runs|already|lock/i);
    assert.equal((await served.home.app()).status, 'online');
  });

  test(
    'a disk that is full when the state is saved refuses the change, and leaves the old state readable',
    { skip: isRoot ? false : 'needs root for a tmpfs' },
    async (t) => {
      const home = Home.open(t, { diskBytes: 8 * 1_048_576 });
      if (home.disk === null) return t.skip('tmpfs cannot be mounted here');
      const port = await freePort();
      const deployment = new Deployment(join(home.work, 'app'), 'http.cjs');
      const start = async (name: string, offset: number) =>
        home.covet('start', deployment.script, '--name', name, '-i', '1', '--min-healthy', '0', '--env', `PORT=${port + offset}`);
      const first = await start('first', 0);
      assert.equal(first.code, 0, said(first));
      const wanted = readFileSync(join(home.path, 'state/wanted.json'), 'utf8');
      home.disk.fill();
      const second = await start('second', 1);
      assert.equal(second.code, 1, said(second));
      assert.match(second.stderr, /Could not save|ENOSPC|no space/i);
      assert.equal(readFileSync(join(home.path, 'state/wanted.json'), 'utf8'), wanted, 'the old state is as it was');
      assert.deepEqual(
        readdirSync(join(home.path, 'state')).filter((name) => /tmp|new/.test(name)),
        [],
        'half-written state is left',
      );
      assert.deepEqual(
        (await home.list()).apps.map(({ name, status }) => [name, status]),
        [['first', 'online']],
      );
    },
  );

  test(
    'a disk that is full when the supervisor has something to say ends nothing, and its log says what it lacks',
    { skip: isRoot ? false : 'needs root for a tmpfs' },
    async (t) => {
      const home = Home.open(t, { diskBytes: 8 * 1_048_576 });
      if (home.disk === null) return t.skip('tmpfs cannot be mounted here');
      assert.equal((await home.covet('resurrect')).code, 0);
      const { supervisor } = await home.list();
      const log = join(home.path, 'logs/supervisor.log');
      home.disk.fill();
      // To the end of its last page, which it has still.
      appendFileSync(log, `${'x'.repeat(PAGE_BYTES - 1 - (statSync(log).size % PAGE_BYTES))}\n`);
      for (let i = 0; i < 3; i++) assert.equal((await home.covet('delete', 'nobody')).code, 1);
      home.disk.free();
      assert.equal((await home.covet('delete', 'nobody')).code, 1);
      assert.equal((await home.list()).supervisor.pid, supervisor.pid);
      assert.match(
        readFileSync(log, 'utf8'),
        /\ncovet-pm: 3 lines are missing here: they could not be written\n\S+Z nobody: delete was asked for/,
      );
    },
  );
});
