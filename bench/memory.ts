/**
 * How much memory does each part take, after some traffic?
 *
 * Unit: MiB of PSS (shared pages divided among those who share them) and RSS, from smaps_rollup. Wrong when a garbage collection is
 * due: each contender is asked for the same number of connections first, and each figure is a median over fresh starts.
 */
import { execFileSync } from 'node:child_process';
import { startContender, CONTENDERS, havePm2, type ContenderName } from './contenders.ts';
import { CLIENT_CPU, compiled, enterNamespace, memoryMiB, onCpu } from './machine.ts';
import { digits, report, show } from './report.ts';
import { figureOf } from './statistics.ts';

enterNamespace();
const small = process.argv.includes('--small');
const STARTS = small ? 1 : 15;
const CONNECTIONS = small ? 200 : 6_000;
const WORKERS = 2;
const SUPERVISION_RSS_MAX = 65; // MiB; init and supervisor together, with two workers

interface Sizes {
  /** Managers: init and supervisor, a cluster's primary, PM2's daemon. */
  readonly managerRss: number;
  readonly managerPss: number;
  readonly workerRss: number;
  readonly workerPss: number;
  readonly totalPss: number;
}

const samples = new Map<ContenderName, Sizes[]>();
const names = CONTENDERS.filter((name) => name !== 'pm2' || (!small && havePm2()));
for (let start = 0; start < STARTS; start++) {
  for (const name of start % 2 === 0 ? names : names.toReversed()) {
    const sizes = await measure(name);
    samples.set(name, [...(samples.get(name) ?? []), sizes]);
  }
}
const of = (name: ContenderName, pick: (sizes: Sizes) => number): number[] => (samples.get(name) ?? []).map(pick);
report({
  name: 'memory',
  question: `How much memory does each part take, with ${WORKERS} workers and after ${CONNECTIONS} connections?`,
  small,
  columns: ['server', 'managers RSS MiB', 'managers PSS', 'a worker RSS', 'a worker PSS', 'all PSS'],
  rows: names.map((name) => [
    name,
    show(figureOf(of(name, (s) => s.managerRss))),
    ...[(s: Sizes) => s.managerPss, (s: Sizes) => s.workerRss, (s: Sizes) => s.workerPss, (s: Sizes) => s.totalPss].map((pick) =>
      digits(figureOf(of(name, pick)).median),
    ),
  ]),
  judged: [
    {
      what: 'RSS of covet-init and supervisor together, MiB',
      figure: figureOf(of('covet-pm', (s) => s.managerRss)),
      claim: { kind: 'at most', limit: SUPERVISION_RSS_MAX },
    },
  ],
  notes: ['bare node is one process, with no siblings to share pages with'],
  samples: Object.fromEntries(samples),
});

async function measure(name: ContenderName): Promise<Sizes> {
  const contender = await startContender(name, WORKERS);
  try {
    const [program = '', ...args] = onCpu(CLIENT_CPU, [compiled('connections'), String(contender.port), String(CONNECTIONS), '16']);
    execFileSync(program, args);
    const workers = await contender.workers();
    const managers = contender.pids().filter((pid) => !workers.includes(pid));
    const sum = (pids: readonly number[], kind: 'pss' | 'rss'): number => pids.reduce((total, pid) => total + memoryMiB(pid)[kind], 0);
    return {
      managerRss: sum(managers, 'rss'),
      managerPss: sum(managers, 'pss'),
      workerRss: sum(workers, 'rss') / workers.length,
      workerPss: sum(workers, 'pss') / workers.length,
      totalPss: sum([...managers, ...workers], 'pss'),
    };
  } finally {
    await contender.end();
  }
}
