/** The benchmarks run, small, so that they do not rot; and their statistics are right. Their figures come only from big runs. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { figureOf, judge, percentile, ratioOf } from '../bench/statistics.ts';
import { resultOf } from './promises/home.ts';
import { repositoryRoot } from './promises/root.ts';

const NAMES = ['connections', 'keepalive', 'reload', 'startup', 'memory', 'logs', 'cli'] as const;
const canUnshare = spawnSync('unshare', [process.getuid?.() === 0 ? '-n' : '-rn', 'true']).status === 0;

describe('benchmarks', () => {
  for (const name of NAMES) {
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

  test('an interval that straddles the limit is not resolved, nor is one of few pairs', () => {
    const figure = (low: number, high: number, n = 15) => ({ median: (low + high) / 2, low, high, n });
    assert.equal(judge(figure(0.3, 0.5), { kind: 'at most', limit: 0.5 }), 'met');
    assert.equal(judge(figure(0.4, 0.6), { kind: 'at most', limit: 0.5 }), 'not resolved');
    assert.equal(judge(figure(0.51, 0.6), { kind: 'at most', limit: 0.5 }), 'not met');
    assert.equal(judge(figure(0.1, 0.2, 14), { kind: 'at most', limit: 0.5 }), 'not resolved');
    assert.equal(judge(figure(0.96, 1.09), { kind: 'no difference' }), 'met');
    assert.equal(judge(figure(0.94, 1.02), { kind: 'no difference' }), 'not resolved');
    assert.equal(judge(figure(1.11, 1.2), { kind: 'no difference' }), 'not met');
    assert.equal(judge(figure(210, 260), { kind: 'at least', limit: 200 }), 'met');
    assert.equal(judge(figure(150, 190), { kind: 'at least', limit: 200 }), 'not met');
  });

  test('a percentile lies between its neighbours', () => {
    assert.equal(percentile([1, 2, 3, 4], 0.5), 2.5);
    assert.equal(percentile([1, 2, 3], 1), 3);
    assert.throws(() => percentile([], 0.5), RangeError);
  });
});
