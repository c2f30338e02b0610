/**
 * What does `covet-pm list` cost over a node that does nothing?
 *
 * Unit: CPU of the command (user and system, wait4) as a ratio of `node -e 0` in the same round. Wrong when the file cache is cold or
 * when the two are not run in turn on the same CPU.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { Home } from '../test/promises/home.ts';
import { freePort } from '../test/promises/ports.ts';
import { repositoryRoot } from '../test/promises/root.ts';
import { CLIENT_CPU, compiled, enterNamespace, onCpu } from './machine.ts';
import { digits, report, show } from './report.ts';
import { figureOf, percentile, ratioOf } from './statistics.ts';

enterNamespace();
const small = process.argv.includes('--small');
const ROUNDS = small ? 2 : 41;
const LIST_MAX = 1.35;
const root = repositoryRoot();
const COMMANDS = {
  'node -e 0': ['-e', '0'],
  'covet-pm list': ['dist/covet-pm.cjs', 'list'],
  'covet-pm list --json': ['dist/covet-pm.cjs', 'list', '--json'],
  'covet-pm ping': ['dist/covet-pm.cjs', 'ping'],
} as const;
type Command = keyof typeof COMMANDS;

interface Cost {
  readonly cpuMicros: number;
  readonly wallMicros: number;
  readonly code: number;
}

const home = new Home();
try {
  const port = await freePort();
  await home.start({ script: join(root, 'bench/peers/http-app.cjs'), instances: 2, minHealthyMs: 0, env: { PORT: String(port) } });
  const names = Object.keys(COMMANDS) as Command[];
  const samples = new Map<Command, Cost[]>(names.map((name) => [name, []]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const cost = costOf(COMMANDS[name]);
      if (round > 0) samples.get(name)?.push(cost);
    }
  }
  const cpu = (name: Command): number[] => (samples.get(name) ?? []).map((cost) => cost.cpuMicros / 1_000);
  const wall = (name: Command): number =>
    percentile(
      (samples.get(name) ?? []).map((cost) => cost.wallMicros / 1_000).toSorted((a, b) => a - b),
      0.5,
    );
  report({
    name: 'cli',
    question: 'What does a command cost over a node that does nothing?',
    small,
    columns: ['command', 'CPU ms', 'over node -e 0, paired', 'wall ms'],
    rows: names.map((name) => [
      name,
      show(figureOf(cpu(name))),
      name === 'node -e 0' ? '–' : show(ratioOf(cpu(name), cpu('node -e 0'))),
      digits(wall(name)),
    ]),
    judged: [
      {
        what: 'CPU of `list` over `node -e 0`',
        figure: ratioOf(cpu('covet-pm list'), cpu('node -e 0')),
        claim: { kind: 'ratio at most', limit: LIST_MAX },
      },
    ],
    notes: [],
    samples: Object.fromEntries(samples),
  });
} finally {
  await home.end();
}

function costOf(args: readonly string[]): Cost {
  const [program = '', ...rest] = onCpu(CLIENT_CPU, [compiled('cost'), process.execPath, ...args]);
  const cost = JSON.parse(execFileSync(program, rest, { cwd: root, env: home.env, encoding: 'utf8' })) as Cost;
  if (cost.code !== 0) throw new Error(`Expected ${args.join(' ')} to exit 0, got ${cost.code}`);
  return cost;
}
