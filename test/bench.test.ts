/**
 * The benchmarks run, small, so that they do not rot (a default run has the one that its seed picks), and their statistics are right. Their figures
 * come only from big runs.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Account, faultsOf } from '../bench/reload-judge.ts';
import { keep, linesOf, type Report } from '../bench/report.ts';
import { collect, type Sample } from '../bench/rounds.ts';
import { breaksBuild, type Claim, differenceOf, type Figure, figureOf, judge, percentile, ratioOf } from '../bench/statistics.ts';
import { Counter } from './load/tally.ts';
import { resultOf } from './promises/home.ts';
import { repositoryRoot } from './promises/root.ts';
import { picked } from './promises/tier.ts';

const NAMES = ['connections', 'keepalive', 'reload', 'startup', 'memory', 'preload', 'logs', 'cli', 'adoption', 'soak'] as const;
const canUnshare = spawnSync('unshare', [process.getuid?.() === 0 ? '-n' : '-rn', 'true']).status === 0;

describe('benchmarks', () => {
  for (const name of picked(NAMES)) {
    test(
      `bench/${name} runs small and prints its table, command and machine`,
      { skip: canUnshare ? false : 'no network namespace can be made here' },
      async () => {
        const result = await resultOf(
          spawn(process.execPath, ['--import', 'tsx', `bench/${name}.ts`, '--small'], {
            cwd: repositoryRoot(),
            stdio: ['ignore', 'pipe', 'pipe'],
          }),
          name,
        );
        assert.equal(result.code, 0, result.stderr + result.stdout);
        assert.match(result.stdout, /^# .*\?/);
        assert.match(result.stdout, /^\| .* \|$/m);
        assert.match(result.stdout, new RegExp(`npx tsx bench/${name}\\.ts --small .*Linux .*Node v`));
      },
    );
  }
});

test('every benchmark is among those that run here', () => {
  const asking = readdirSync(join(repositoryRoot(), 'bench')).filter(
    (file) =>
      file.endsWith('.ts') &&
      /^(enterNamespace\(|await askThroughput\()/m.test(readFileSync(join(repositoryRoot(), 'bench', file), 'utf8')),
  );
  assert.deepEqual(asking.toSorted(), NAMES.map((name) => `${name}.ts`).toSorted());
});

describe('rounds of benchmarks', () => {
  const sample = (cpuShare: number, cpuMicrosEach = 1): Sample => ({
    cpuMicrosEach,
    perSecond: 1,
    p50Micros: 1,
    p99Micros: 1,
    maxMicros: 1,
    cpuShare,
    errors: 0,
  });
  const two = [{ name: 'covet-pm' }, { name: 'cluster RR' }] as const;

  test('a round in which one server got less than 80 % of its CPU is thrown out whole, run again and said', () => {
    const shares = [0.8, 1, 0.799, 1, 1, 0.9];
    const measured: string[] = [];
    const { samples, notes } = collect(two, 2, ({ name }) => {
      measured.push(name);
      return sample(shares[measured.length - 1]!, measured.length);
    });
    assert.deepEqual(measured, ['covet-pm', 'cluster RR', 'cluster RR', 'covet-pm', 'covet-pm', 'cluster RR']);
    assert.deepEqual(
      samples.get('covet-pm')?.map(({ cpuMicrosEach }) => cpuMicrosEach),
      [1, 5],
    );
    assert.deepEqual(
      samples.get('cluster RR')?.map(({ cpuMicrosEach }) => cpuMicrosEach),
      [2, 6],
    );
    assert.deepEqual(notes, ['1 of 3 rounds thrown out: a server got less than 80 % of its CPU']);
  });

  test('no starved round is ever kept: what is missing leaves the claim unresolved, and nothing at all is an error', () => {
    let round = 0;
    const { samples, notes } = collect([two[0]], 15, () => sample(round++ < 14 ? 1 : 0.5));
    assert.equal(samples.get('covet-pm')?.length, 14);
    assert.deepEqual(notes, ['15 of 29 rounds thrown out: a server got less than 80 % of its CPU']);
    assert.equal(judge(figureOf(Array.from({ length: 14 }, () => 0.3)), { kind: 'ratio at most', limit: 0.5 }), 'not resolved');
    assert.throws(() => collect([two[0]], 15, () => sample(0.5)), /in each of 15 a server got less than 80 %/);
  });
});

describe('the judge of reloads', () => {
  const account = (requests: number, opened: number, keeps: boolean, lost = 0): Account => {
    const counter = new Counter('agent');
    return { tally: { ...counter.tally(), requests, opened, lost }, connections: 8, keeps };
  };

  test('losses, too few requests and kept connections that were opened again are faults', () => {
    const good = [account(600, 8, true), account(400, 400, false)];
    assert.deepEqual(faultsOf(good, 1_000), []);
    assert.match(faultsOf(good, 1_001).join(), /^Expected 1001 requests or more, got 1000/);
    assert.deepEqual(faultsOf([account(1_000, 9, true)], 1_000), ['Expected agent to keep its 8 connections, got 9 opened']);
    assert.deepEqual(faultsOf([account(1_000, 8, true, 1)], 1_000), ['1 requests were lost']);
  });
});

describe('reports of benchmarks', () => {
  const figure = (low: number, high: number): Figure => ({ median: (low + high) / 2, low, high, n: 15 });
  const lost: Report = {
    name: 'connections',
    question: 'What?',
    small: false,
    columns: ['server', 'ratio'],
    rows: [['covet-pm', '1']],
    judged: [
      { what: 'won', figure: figure(0.4, 0.44), claim: { kind: 'ratio at most', limit: 0.5 } },
      { what: 'lost', figure: figure(0.6, 0.7), claim: { kind: 'ratio at most', limit: 0.5 } },
      { what: 'lost by far', figure: figure(1.5, 1.7), claim: { kind: 'no difference' } },
    ],
    notes: ['1 of 16 rounds thrown out'],
    samples: { 'covet-pm': [1, 2, 3] },
  };

  test('the lost cases are printed as the won ones, and the one that breaks a build is named', () => {
    assert.deepEqual(linesOf(lost, 'npx tsx bench/connections.ts').slice(5, 9), [
      'met           won: 0.42 [0.40, 0.44] n=15; claimed: ratio at most 0.5',
      'not met       lost: 0.65 [0.60, 0.70] n=15; claimed: ratio at most 0.5',
      'not met       lost by far: 1.60 [1.50, 1.70] n=15; claimed: no difference; this breaks a build',
      'note: 1 of 16 rounds thrown out',
    ]);
  });

  test('raw samples are kept as JSON, with the command, the kernel, the Node and the verdicts', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'covet-bench-'));
    t.after(() => rmSync(folder, { recursive: true }));
    keep(lost, 'npx tsx bench/connections.ts', folder);
    const kept = JSON.parse(readFileSync(join(folder, 'connections.json'), 'utf8'));
    assert.deepEqual(kept.samples, lost.samples);
    assert.deepEqual(kept.verdicts, ['met', 'not met', 'not met']);
    assert.equal(kept.command, 'npx tsx bench/connections.ts');
    assert.ok(kept.machine.includes(`Linux ${release()}`) && kept.machine.includes(`Node ${process.version}`), kept.machine);
  });
});

describe('statistics of benchmarks', () => {
  test('the interval of a median is made of order statistics: of 15 the 4th and the 12th, of 5 none', () => {
    const samples = Array.from({ length: 15 }, (_, i) => 15 - i);
    assert.deepEqual(figureOf(samples), { median: 8, n: 15, low: 4, high: 12 });
    assert.deepEqual(figureOf([1, 2, 3, 4, 5]), { median: 3, n: 5, low: -Infinity, high: Infinity });
    assert.deepEqual(figureOf([1, 2, 3, 4, 5, 6]), { median: 3.5, n: 6, low: 1, high: 6 });
  });

  test('the interval covers the true median in 95 of 100 experiments or more', () => {
    let state = 7;
    const random = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
    let covered = 0;
    for (let i = 0; i < 2_000; i++) {
      const { low, high } = figureOf(Array.from({ length: 15 }, () => random() ** 3));
      if (low <= 0.125 && 0.125 <= high) covered++;
    }
    assert.ok(covered / 2_000 > 0.95 && covered / 2_000 < 0.985, String(covered));
  });

  test('a ratio is paired: a disturbance of a whole round leaves it alone', () => {
    const calm = Array.from({ length: 15 }, () => 10);
    const disturbed = calm.map((value, i) => (i % 3 === 0 ? value * 5 : value));
    assert.deepEqual(
      ratioOf(
        disturbed,
        disturbed.map((value) => value * 2),
      ),
      { median: 0.5, n: 15, low: 0.5, high: 0.5 },
    );
    assert.throws(() => ratioOf([1], [1, 2]), RangeError);
  });

  test('a difference is paired too', () => {
    assert.deepEqual(differenceOf([12, 22, 32, 42, 52, 62], [10, 20, 30, 40, 50, 60]), { median: 2, n: 6, low: 2, high: 2 });
  });

  const figure = (low: number, high: number, n = 15): Figure => ({ median: (low + high) / 2, low, high, n });

  test('a ratio is at most r when its interval begins there and is narrow; a wide one is not resolved, nor is one of few pairs', () => {
    const claim: Claim = { kind: 'ratio at most', limit: 0.5 };
    assert.equal(judge(figure(0.4, 0.5), claim), 'met'); // half of it is 0.05
    assert.equal(judge(figure(0.5, 0.6), claim), 'met'); // begins at the limit
    assert.equal(judge(figure(0.4, 0.501), claim), 'not resolved');
    assert.equal(judge(figure(0.1, 0.3), claim), 'not resolved'); // wide, though all of it is below
    assert.equal(judge(figure(0.5, 0.601), claim), 'not resolved');
    assert.equal(judge(figure(0.501, 0.52), claim), 'not met');
    assert.equal(judge(figure(0.501, 5), claim), 'not met');
    assert.equal(judge(figure(0.4, 0.42, 14), claim), 'not resolved');
    assert.equal(judge(figure(0.6, 0.62, 14), claim), 'not resolved');
    assert.equal(judge(figure(-Infinity, Infinity, 15), claim), 'not resolved');
  });

  test('no difference is an interval within 0.95 and 1.10; outside there is one, across the edge it is not resolved', () => {
    const claim: Claim = { kind: 'no difference' };
    assert.equal(judge(figure(0.95, 1.1), claim), 'met');
    assert.equal(judge(figure(0.949, 1.02), claim), 'not resolved');
    assert.equal(judge(figure(1, 1.101), claim), 'not resolved');
    assert.equal(judge(figure(1.1, 1.2), claim), 'not resolved');
    assert.equal(judge(figure(1.101, 1.2), claim), 'not met');
    assert.equal(judge(figure(0.8, 0.949), claim), 'not met');
    assert.equal(judge(figure(1, 1.01, 14), claim), 'not resolved');
  });

  test('an amount must be on one side of its limit with its whole interval', () => {
    assert.equal(judge(figure(1.2, 2), { kind: 'at most', limit: 2 }), 'met');
    assert.equal(judge(figure(1.9, 2.001), { kind: 'at most', limit: 2 }), 'not resolved');
    assert.equal(judge(figure(2.001, 3), { kind: 'at most', limit: 2 }), 'not met');
    assert.equal(judge(figure(200, 260), { kind: 'at least', limit: 200 }), 'met');
    assert.equal(judge(figure(199, 260), { kind: 'at least', limit: 200 }), 'not resolved');
    assert.equal(judge(figure(150, 199), { kind: 'at least', limit: 200 }), 'not met');
  });

  test('only a ratio that is surely 1.5 or more breaks a build', () => {
    assert.equal(breaksBuild(figure(1.5, 1.6), { kind: 'ratio at most', limit: 1.35 }), true);
    assert.equal(breaksBuild(figure(1.499, 1.6), { kind: 'ratio at most', limit: 1.35 }), false);
    assert.equal(breaksBuild(figure(1.5, 1.6), { kind: 'no difference' }), true);
    assert.equal(breaksBuild(figure(1.5, 1.6), { kind: 'ratio at most', limit: 2 }), false); // claimed no better
    assert.equal(breaksBuild(figure(1.5, 1.6, 14), { kind: 'ratio at most', limit: 1.35 }), false);
    assert.equal(breaksBuild(figure(66, 70), { kind: 'at most', limit: 65 }), false); // an amount
  });

  test('a percentile lies between its neighbours', () => {
    assert.equal(percentile([1, 2, 3, 4], 0.5), 2.5);
    assert.equal(percentile([1, 2, 3], 1), 3);
    assert.throws(() => percentile([], 0.5), RangeError);
  });
});
