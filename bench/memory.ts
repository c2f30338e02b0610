/**
 * How much memory does each part take, after some traffic?
 *
 * Unit: MB (10⁶ bytes) of PSS (shared pages divided among those who share them) and RSS, from smaps_rollup. Wrong when a garbage
 * collection is due: each contender is asked for the same number of connections first, and each figure is a median over fresh starts.
 * What of a worker is the preload's is asked by bench/preload.ts.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { startContender, CONTENDERS, havePm2, installPm2, type ContenderName } from './contenders.ts';
import { CLIENT_CPU, compiled, enterNamespace, memoryMB, onCpu } from './machine.ts';
import { report, show } from './report.ts';
import { figureOf } from './statistics.ts';

const small = process.argv.includes('--small');
enterNamespace(small ? undefined : installPm2);
const STARTS = small ? 1 : 15;
const CONNECTIONS = small ? 200 : 6_000;
const WORKERS = 2;
const SUPERVISION_RSS_MAX = 65; // MB; init and supervisor together, with two workers

interface Sizes {
  readonly initRss: number;
  readonly initPss: number;
  /** Managers: init and supervisor, a cluster's primary, PM2's daemon. */
  readonly managerRss: number;
  readonly managerPss: number;
  readonly workerRss: number;
  readonly workerPss: number;
  readonly totalPss: number;
}

const samples = new Map<ContenderName, Sizes[]>();
const NOT_ASKED = ['–', '–', '–'];
const names = CONTENDERS.filter((name) => name !== 'pm2' || (!small && havePm2()));
for (let start = 0; start < STARTS; start++) {
  for (const name of start % 2 === 0 ? names : names.toReversed()) {
    const sizes = await measure(name);
    samples.set(name, [...(samples.get(name) ?? []), sizes]);
  }
}
type Pick = (sizes: Sizes) => number;
const of = (name: ContenderName, pick: Pick): number[] => (samples.get(name) ?? []).map(pick);
const cells = (name: ContenderName, picks: readonly Pick[]): string[] => picks.map((pick) => show(figureOf(of(name, pick))));
report({
  name: 'memory',
  question: `How much memory does each part take, with ${WORKERS} workers and after ${CONNECTIONS} connections?`,
  small,
  columns: ['server', 'managers RSS MB', 'managers PSS', 'a worker RSS', 'a worker PSS', 'all PSS'],
  rows: [
    ...names.map((name) => [
      name,
      ...cells(name, [(s) => s.managerRss, (s) => s.managerPss, (s) => s.workerRss, (s) => s.workerPss, (s) => s.totalPss]),
    ]),
    ['of it covet-init', ...cells('covet-pm', [(s) => s.initRss, (s) => s.initPss]), ...NOT_ASKED],
    ['of it supervisor', ...cells('covet-pm', [(s) => s.managerRss - s.initRss, (s) => s.managerPss - s.initPss]), ...NOT_ASKED],
  ],
  judged: [
    {
      what: 'RSS of covet-init and supervisor together, MB',
      figure: figureOf(of('covet-pm', (s) => s.managerRss)),
      claim: { kind: 'at most', limit: SUPERVISION_RSS_MAX },
    },
  ],
  notes: [
    'bare node is one process, with no siblings to share pages with',
    ...(names.includes('pm2') ? [] : [small ? 'small run: without pm2' : 'pm2 could not be installed']),
  ],
  samples: Object.fromEntries(samples),
});

async function measure(name: ContenderName): Promise<Sizes> {
  const contender = await startContender(name, WORKERS);
  try {
    const [program = '', ...args] = onCpu(CLIENT_CPU, [compiled('connections'), String(contender.port), String(CONNECTIONS), '16']);
    execFileSync(program, args);
    const workers = await contender.workers();
    const managers = contender.pids().filter((pid) => !workers.includes(pid));
    const sum = (pids: readonly number[], kind: 'pss' | 'rss'): number => pids.reduce((total, pid) => total + memoryMB(pid)[kind], 0);
    const inits = managers.filter((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'covet-init');
    return {
      initRss: sum(inits, 'rss'),
      initPss: sum(inits, 'pss'),
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
