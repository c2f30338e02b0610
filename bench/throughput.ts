/** What `connections` and `keepalive` share: contenders up, rounds run, a row each, the pairs judged, everything down again. */
import { type Contender, type ContenderName, CONTENDERS, havePm2, installPm2, startContender } from './contenders.ts';
import { enterNamespace } from './machine.ts';
import { digits, type Judged, report, show } from './report.ts';
import { type RoundOptions, runRounds, type Sample } from './rounds.ts';
import { type Claim, type Figure, figureOf, percentile, ratioOf } from './statistics.ts';

export interface Question extends Omit<RoundOptions, 'rounds' | 'small'> {
  readonly name: string;
  readonly question: string;
  readonly unit: string;
  /** Of covet-pm over each of these, in server CPU. */
  readonly claims: readonly (readonly [ContenderName, Claim])[];
}

const ROUNDS = 21;
const WORKERS = 2;

export async function askThroughput(question: Question): Promise<void> {
  const small = process.argv.includes('--small');
  enterNamespace(small ? undefined : installPm2);
  const notes = ['CPU is on-CPU time of all server processes, managers too; the work of the loopback itself falls to the client’s CPU'];
  const names = CONTENDERS.filter((name) => name !== 'pm2' || (!small && havePm2()));
  if (!names.includes('pm2')) notes.push(small ? 'small run: without pm2' : 'pm2 could not be installed');
  const contenders: Contender[] = [];
  try {
    for (const name of names) contenders.push(await startContender(name, WORKERS));
    const sizes = small ? { rounds: 2, requests: 300, parallel: 16, warmUp: 100 } : { ...question, rounds: ROUNDS };
    const { samples, notes: roundNotes } = runRounds(contenders, { ...sizes, client: question.client, small });
    const of = (name: ContenderName): readonly Sample[] => samples.get(name) ?? [];
    const cpu = (name: ContenderName): number[] => of(name).map((sample) => sample.cpuMicrosEach);
    report({
      name: question.name,
      question: question.question,
      small,
      columns: [
        'server',
        `CPU µs/${question.unit}`,
        'covet-pm over it, paired',
        `${question.unit}s/s`,
        'p50 ms',
        'p99 ms',
        'max ms',
        'errors',
      ],
      rows: names.map((name) => rowOf(name, of(name), name === 'covet-pm' ? null : ratioOf(cpu('covet-pm'), cpu(name)))),
      judged: question.claims.flatMap(([rival, claim]): Judged[] =>
        names.includes(rival)
          ? [{ what: `server CPU per ${question.unit}, covet-pm over ${rival}`, figure: ratioOf(cpu('covet-pm'), cpu(rival)), claim }]
          : [],
      ),
      notes: [...notes, ...roundNotes],
      samples: Object.fromEntries(samples),
    });
  } finally {
    for (const contender of contenders) await contender.end();
  }
}

function rowOf(name: string, samples: readonly Sample[], ratio: Figure | null): string[] {
  const median = (pick: (sample: Sample) => number): number =>
    percentile(
      samples.map(pick).toSorted((a, b) => a - b),
      0.5,
    );
  return [
    name,
    show(figureOf(samples.map((sample) => sample.cpuMicrosEach))),
    ratio === null ? '–' : show(ratio),
    digits(median((sample) => sample.perSecond)),
    digits(median((sample) => sample.p50Micros) / 1_000),
    digits(median((sample) => sample.p99Micros) / 1_000),
    digits(Math.max(...samples.map((sample) => sample.maxMicros)) / 1_000),
    String(samples.reduce((sum, sample) => sum + sample.errors, 0)),
  ];
}
