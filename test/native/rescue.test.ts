/**
 * Rescue between real clients and real queues, by either back end: test/fixtures/native/rescues.cc is its host. Whoever is stuck, dies, is late,
 * gives back or has no room: each connection is served once, and no descriptor is left. With --all a hundred thousand of them, and under the
 * thread, address and undefined-behaviour sanitizers; a million with --soak.
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { promisify } from 'node:util';
import { refusingHost } from '../promises/refusing-host.ts';
import { ALL, isRoot } from '../promises/tier.ts';
import { DEADLINE_MS } from './pipe.ts';
import { buildTestPrograms, testProgram, type Variant } from './test-programs.ts';

const timeout = DEADLINE_MS;
const BACKENDS = ['epoll', 'io_uring'] as const;
const TIER = process.env['COVET_TEST_TIER'] ?? 'default';
const COUNTS: Readonly<Record<string, number>> = { default: 3_000, all: 100_000, soak: 1_000_000 };
const LONG_MS = 1_800_000;

/** What rescues.cc prints. */
interface Outcome {
  readonly backend: string;
  readonly ioUringRefused: string;
  readonly served: number;
  readonly faults: number;
  readonly p50Us: number;
  readonly maxUs: number;
  readonly taken: number;
  readonly handed: number;
  readonly reset: number;
  readonly held: number;
  readonly allStuck: number;
  readonly wakes: number;
  readonly rounds: number;
  readonly noDescriptors: number;
  readonly leakedFds: number;
  readonly tookMs: number;
  readonly idleWakes?: number;
  readonly idleUs?: number;
}

const folder = mkdtempSync(join(tmpdir(), 'rescues-'));
chmodSync(folder, 0o755);
after(() => rmSync(folder, { recursive: true }));
/** Where others may run it too. */
const program = join(folder, 'rescues');
copyFileSync(testProgram('rescues'), program);

interface Run {
  readonly backend?: 'auto' | (typeof BACKENDS)[number];
  readonly workers: readonly string[];
  /** Of a worker's queue: connections, so many at a time, one each so many µs. */
  readonly load?: readonly string[];
  readonly more?: readonly string[];
  readonly prefix?: readonly string[];
  readonly path?: string;
}

async function rescue({ backend = 'auto', workers, load = [], more = [], prefix = [], path = program }: Run): Promise<Outcome> {
  const args = [
    ...['--backend', backend],
    ...workers.flatMap((kind) => ['--worker', kind]),
    ...load.flatMap((each) => ['--load', each]),
    ...more,
  ];
  const [command = '', ...rest] = [...prefix, path, ...args];
  const { stdout } = await promisify(execFile)(command, rest);
  const outcome = JSON.parse(stdout) as Outcome;
  assert.equal(outcome.faults, 0, stdout);
  assert.equal(outcome.leakedFds, 0, stdout);
  assert.deepEqual([outcome.reset, outcome.held, outcome.taken - outcome.handed], [0, 0, 0], stdout);
  return outcome;
}

for (const backend of BACKENDS) {
  suite(backend, { concurrency: 2 }, () => {
    test('what nobody takes from a stuck worker’s queue is served by another, after rescueAfterMs', { timeout }, async () => {
      const outcome = await rescue({ backend, workers: ['stuck', 'takes', 'takes'], load: ['0:40:1'] });
      assert.deepEqual([outcome.backend, outcome.served, outcome.handed], [backend, 40, 40]);
      // One at a time: each waits from the moment its watch fires.
      assert.ok(outcome.p50Us >= 10_000, `${outcome.p50Us} µs`);
      assert.ok(outcome.p50Us < 100_000, `${outcome.p50Us} µs`);
      // Its watch, two looks, the answer; two looks until it is watched again. Nothing else woke the thread.
      assert.ok(outcome.wakes <= 10 + 40 * 6, `${outcome.wakes} wakes`);
    });

    test('where every worker is overloaded nothing is taken, and that is counted', { timeout }, async () => {
      const load = ['0:200:60', '1:200:60'];
      const outcome = await rescue({ backend, workers: ['busy=2', 'busy=2'], load });
      assert.equal(outcome.served, 400);
      // At the end one queue may be empty, and the process of the workers not run for longer than rescueAfterMs: one round.
      assert.ok(outcome.taken <= 8, `${outcome.taken} taken`);
      assert.ok(outcome.allStuck > 0);
    });

    test('a worker that dies with connections unanswered, one that gives back and one that is late lose none', { timeout }, async () => {
      const workers = ['stuck', 'takes', 'dies=3', 'refuses', 'late=20'];
      const outcome = await rescue({ backend, workers, load: ['0:800:100'], more: ['--after', '4'] });
      assert.deepEqual([outcome.served, outcome.handed], [800, 800]);
    });

    test('what a slow receiver has no room for waits until it has', { timeout }, async () => {
      const outcome = await rescue({ backend, workers: ['stuck', 'late=5'], load: ['0:100:50'], more: ['--fill'] });
      assert.equal(outcome.served, 100);
    });

    test('without descriptors connections wait in their queue, and the thread does not spin', { timeout }, async () => {
      const outcome = await rescue({ backend, workers: ['stuck', 'takes', 'takes'], load: ['0:300:50'], more: ['--starve'] });
      assert.equal(outcome.served, 300);
      assert.ok(outcome.noDescriptors > 0);
      assert.ok(outcome.wakes <= 100 + outcome.tookMs, `${outcome.wakes} wakes in ${outcome.tookMs} ms`);
    });

    test('queues of a dead worker and of a retired generation are served by the others', { timeout }, async () => {
      for (const state of ['--orphan', '--retire']) {
        const outcome = await rescue({ backend, workers: ['deaf', 'takes'], load: ['0:50:5'], more: [state, '0'] });
        assert.deepEqual([outcome.served, outcome.handed], [50, 50]);
      }
    });

    test('of busy workers’ queues each wakes the thread at most once in half of rescueAfterMs', { timeout }, async () => {
      const outcome = await rescue({ backend, workers: ['takes', 'takes'], load: ['0:1500:50:300', '1:1500:50:300'] });
      assert.equal(outcome.served, 3_000);
      assert.ok(outcome.wakes <= 10 + 2 * (outcome.tookMs / 5), `${outcome.wakes} wakes in ${outcome.tookMs} ms`);
    });

    test('many queues are watched, and fire, at once', { timeout }, async () => {
      const workers = ['deaf', ...Array.from({ length: 149 }, () => 'takes')];
      const load = Array.from({ length: 150 }, (_, i) => `${i}:4:4`);
      const outcome = await rescue({ backend, workers, load });
      assert.equal(outcome.served, 600);
    });

    test('idle, the thread does not wake', { timeout }, async () => {
      const outcome = await rescue({ backend, workers: ['takes', 'takes'], more: ['--idle', '300'] });
      assert.deepEqual([outcome.idleWakes, outcome.idleUs], [0, 0]);
    });

    test('all of that at once, without privileges too', { timeout: LONG_MS }, async () => {
      const prefix = isRoot ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
      await atOnce(backend, COUNTS[TIER] ?? 3_000, { prefix });
    });

    for (const variant of ['thread', 'address'] as const) {
      test(`under -fsanitize=${variant}`, { timeout: LONG_MS, skip: !ALL && 'with --all' }, async () => {
        buildTestPrograms(variant);
        proveThatItBites(variant);
        await atOnce(backend, TIER === 'soak' ? 1_000_000 : 100_000, { path: testProgram('rescues', variant) });
      });
    }
  });
}

async function atOnce(backend: Run['backend'] & string, count: number, more: Partial<Run>): Promise<void> {
  const workers = ['stuck', ...Array.from({ length: 8 }, () => 'takes'), 'dies=20', 'late=2', 'refuses'];
  const load = [`0:${count / 2}:400`, `1:${count / 4}:20`, `9:${count / 4}:200`];
  const outcome = await rescue({ backend, workers, load, more: ['--after', '2', '--starve'], ...more });
  assert.equal(outcome.served, count);
  assert.ok(outcome.handed >= (count * 3) / 4, `${outcome.handed} handed over`);
}

/** A sanitizer that was not linked in finds nothing either. */
function proveThatItBites(variant: Variant): void {
  const traps = variant === 'thread' ? { thread: 'data race' } : { address: 'heap-buffer-overflow', undefined: 'signed integer overflow' };
  for (const [kind, words] of Object.entries(traps)) {
    const { status, stderr } = spawnSync(testProgram('rescues', variant), ['--trap', kind], { encoding: 'utf8' });
    assert.notEqual(status, 0);
    assert.match(stderr, new RegExp(words));
  }
}

suite('a host that refuses io_uring', () => {
  const host = refusingHost();
  test('has epoll instead, and why', { timeout }, async () => {
    const outcome = await rescue({ workers: ['stuck', 'takes'], load: ['0:5:5'], prefix: host('io_uring') });
    assert.deepEqual([outcome.backend, outcome.ioUringRefused, outcome.served], ['epoll', 'EPERM', 5]);
    await assert.rejects(
      rescue({ backend: 'io_uring', workers: ['takes'], prefix: host('io_uring') }),
      /io_uring_setup: Operation not permitted/,
    );
  });
});
