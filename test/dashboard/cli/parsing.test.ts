/** Command lines → options, with what would run replaced: nothing here connects to anything. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changeCommands, scaleCommand } from '../../../dashboard/cli/commands/change.ts';
import type { Invocation, Runner } from '../../../dashboard/cli/commands/command.ts';
import { eventsCommand, logsCommand } from '../../../dashboard/cli/commands/follow.ts';
import { listCommand } from '../../../dashboard/cli/commands/list.ts';
import { describeCommand } from '../../../dashboard/cli/commands/read.ts';
import { runCommand } from '../../../dashboard/cli/commands/run.ts';
import { startCommand } from '../../../dashboard/cli/commands/start.ts';
import { readFast } from '../../../dashboard/cli/fast-arguments.ts';
import { program, splitCommandLine } from '../../../dashboard/cli/main.ts';
import { rejection } from '../rejection.ts';

const PLAIN: Invocation = { json: false, quiet: false, noColour: false, appArgs: [] };

type Maker<T> = (invocation: Invocation, run: Runner<T>) => { parseAsync(argv: string[], from: { from: 'user' }): Promise<unknown> };

async function parse<T>(make: Maker<T>, argv: string[], invocation = PLAIN): Promise<T> {
  let options: T | undefined;
  await make(invocation, (given) => {
    options = given;
    return Promise.resolve();
  }).parseAsync(argv, { from: 'user' });
  assert.ok(options !== undefined, 'nothing ran');
  return options;
}

async function refused(argv: string[]): Promise<string> {
  const { invocation, rest } = splitCommandLine(argv);
  const error = await rejection(program(invocation).parseAsync(rest, { from: 'user' }));
  assert.equal(error.exitCode, 2);
  return error.message;
}

test('the common flags may stand anywhere before --, and what is after it is the app’s', () => {
  const { invocation, rest } = splitCommandLine(['--json', 'start', 'app.js', '-q', '-i', '2', '--', '--json', '-i', '--']);
  assert.deepEqual(invocation, { json: true, quiet: true, noColour: false, appArgs: ['--json', '-i', '--'] });
  assert.deepEqual(rest, ['start', 'app.js', '-i', '2']);
});

test('start reads every kind of flag', async () => {
  const options = await parse(
    startCommand,
    [
      'app.js',
      '-i',
      'max',
      '--name',
      'web',
      '--env',
      'A=1',
      '--env',
      'B=x=y',
      '--node-args',
      '--enable-source-maps  --inspect',
      '--pin',
      '0,2,4-6',
      '--listen',
      'tcp://:80',
      '--listen',
      'unix:/x',
      '--probe',
      '/health',
      '--kill-timeout',
      '100',
      '--no-hand-over',
      '--only-one',
      '--timestamps',
      '--set',
      'restart.resetMs=50',
      '--set',
      'whenDown=refuse',
      '--config',
      'c.json',
      '--deadline',
      '9',
    ],
    { ...PLAIN, appArgs: ['--port', '1'] },
  );
  assert.deepEqual(options, {
    usage: 'covet-pm start <script | name> [options] [-- arguments of the app]',
    script: 'app.js',
    args: ['--port', '1'],
    configFile: 'c.json',
    settings: { 'restart.resetMs': 50, whenDown: 'refuse' },
    deadlineMs: 9,
    fields: {
      instances: 'max',
      name: 'web',
      env: { A: '1', B: 'x=y' },
      nodeArgs: ['--enable-source-maps', '--inspect'],
      pin: [0, 2, 4, 5, 6],
      listen: ['tcp://:80', 'unix:/x'],
      'probe.path': '/health',
      killTimeoutMs: 100,
      handOver: false,
      onlyOne: true,
      'logs.timestamps': true,
    },
  });
});

test('flags that were not given set nothing', async () => {
  assert.deepEqual((await parse(startCommand, ['app.js'])).fields, {});
  const { fields, usage } = await parse(runCommand, ['app.js', '-i', '4']);
  assert.deepEqual(fields, { instances: 4 });
  assert.match(usage, /^covet-pm run <script> /);
});

test('a number that is none stays text, for the schema to refuse by its field', async () => {
  assert.deepEqual((await parse(startCommand, ['app.js', '-i', 'many'])).fields, { instances: 'many' });
  assert.deepEqual((await parse(startCommand, ['app.js', '-i', '-1'])).fields, { instances: -1 });
});

test('the other commands', async () => {
  assert.deepEqual(await parse(listCommand, ['--workers']), { workers: true });
  assert.deepEqual(await parse(describeCommand, ['web', '--show-env']), { app: 'web', showEnv: true });
  assert.deepEqual(await parse(scaleCommand, ['web', '8']), { app: 'web', instances: 8, deadlineMs: 0 });
  assert.deepEqual(await parse(scaleCommand, ['web', 'max']), { app: 'web', instances: 'max', deadlineMs: 0 });
  assert.deepEqual(await parse(logsCommand, ['web', '-f', '--lines', '3', '--err']), {
    app: 'web',
    follow: true,
    lines: 3,
    streams: 'err',
    raw: false,
  });
  assert.deepEqual(await parse(logsCommand, ['--out', '--err']), { follow: false, lines: 15, streams: 'both', raw: false });
  assert.deepEqual(await parse(eventsCommand, ['--last', '5']), { follow: false, last: 5 });
  const [stop, , reload] = [0, 1, 2].map(
    (i): Maker<unknown> =>
      (invocation, run) =>
        changeCommands(invocation, run)[i]!,
  );
  assert.deepEqual(await parse(stop!, ['web']), { verb: 'stop', app: 'web', updateEnv: false, deadlineMs: 0 });
  assert.deepEqual(await parse(reload!, ['web', '--update-env', '--deadline', '50']), {
    verb: 'reload',
    app: 'web',
    updateEnv: true,
    deadlineMs: 50,
  });
});

test('what is wrong with the words is one sentence, with the near match', async () => {
  assert.equal(await refused(['strat', 'app.js']), 'Unknown command `strat`. Did you mean `start`? `covet-pm --help` lists them.');
  assert.equal(await refused(['help', 'strat']), 'Unknown command `strat`. Did you mean `start`? `covet-pm --help` lists them.');
  assert.equal(await refused(['frobnicate']), 'Unknown command `frobnicate`. `covet-pm --help` lists them.');
  assert.equal(
    await refused(['start', 'a.js', '--instnces', '2']),
    'Unknown option `--instnces` for `start`. Did you mean `--instances`? `covet-pm start --help` lists them.',
  );
  assert.equal(
    await refused(['list', '--jsno']),
    'Unknown option `--jsno` for `list`. Did you mean `--json`? `covet-pm list --help` lists them.',
  );
  assert.equal(await refused(['scale', 'web']), 'Expected `<count>`. Usage: covet-pm scale [options] <app> <count>');
  assert.equal(await refused(['scale', 'web', '0']), 'Expected `count` to be an integer from 1 to 1024 or "max", got `0`.');
  assert.equal(await refused(['stop', 'a', 'b']), 'Expected at most 1 word after `stop`. Usage: covet-pm stop [options] <app>');
  assert.equal(await refused(['stop', 'a', '--', 'b']), 'Expected at most 1 word after `stop`. Usage: covet-pm stop [options] <app>');
  assert.equal(await refused(['start', 'a.js', '--env', 'NOVALUE']), 'Expected `--env` to be `KEY=value`, got `NOVALUE`.');
  assert.equal(await refused(['start', 'a.js', '--name']), 'Expected `--name` to be followed by a value, got none.');
  assert.equal(await refused(['logs', '--lines', 'all']), 'Expected `--lines` to be an integer from 0 to 100000, got `all`.');
  assert.equal(await refused(['reload', 'web', '--deadline', 'soon']), 'Expected `--deadline` to be milliseconds, got `soon`.');
});

test('the fast path takes what it knows and nothing else', () => {
  const none = { app: '', json: false, quiet: false, noColour: false, workers: false };
  assert.deepEqual(readFast(['ls', '--json', '--no-color']), { ...none, verb: 'list', json: true, noColour: true });
  assert.deepEqual(readFast(['status', '--workers']), { ...none, verb: 'list', workers: true });
  assert.deepEqual(readFast(['-q', 'stop', 'web']), { ...none, verb: 'stop', app: 'web', quiet: true });
  for (const argv of [
    [],
    ['list', 'web'],
    ['stop'],
    ['stop', 'a', 'b'],
    ['list', '--all'],
    ['start', 'a.js'],
    ['stop', 'web', '--workers'],
    ['stop', ''],
    ['constructor'],
  ]) {
    assert.equal(readFast(argv), null, argv.join(' '));
  }
});

test('help tells the default of what has one, and not that every switch is off', () => {
  const help = program(PLAIN)
    .commands.map((each) => each.helpInformation())
    .join('\n')
    .replaceAll(/\s+/g, ' ');
  assert.match(help, /--drain-timeout <ms> [^(]*\(default: 30000\)/);
  assert.match(help, /--log-bytes <bytes> [^(]*\(default: 10000000\)/);
  assert.match(help, /--lines <count> [^(]*\(default: 15\)/);
  assert.doesNotMatch(help, /default: (false|undefined|null|\[|\/)|the operation goes on\. \(default/);
});
