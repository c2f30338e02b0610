/**
 * How long is covet-pm without a supervisor when one dies, and what does a client of the app see of it, and of an upgrade?
 *
 * Unit: milliseconds from SIGKILL to the next supervisor's first answer on its control socket, with 2 and with 50 workers, over a node that
 * does nothing in the same round; and the longest time any request took while that, or an upgrade, went on, over the longest in as long a time of
 * peace. Wrong when the workers are busy: 50 of them idle here.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { LoadProcess } from '../test/load/load.ts';
import { Home } from '../test/promises/home.ts';
import { freePort } from '../test/promises/ports.ts';
import { repositoryRoot } from '../test/promises/root.ts';
import { connect } from '../dashboard/client.ts';
import { enterNamespace } from './machine.ts';
import { report, show } from './report.ts';
import { figureOf } from './statistics.ts';

enterNamespace();
/** Nobody comes any more: this waits with a whole CPU. */
const ADOPTION_MS_MAX = 60_000;
const small = process.argv.includes('--small');
const ROUNDS = small ? 2 : 21;
const WORKERS = small ? [2] : [2, 50];
/** More than the second from which on covet-init starts the next one at once. */
const LIFE_MS = 1_500;
const APP = join(repositoryRoot(), 'test/fixtures/apps/http.cjs');
const rows: string[][] = [];
const samples: Record<string, number[]> = {};

for (const workers of WORKERS) await gapWith(workers);
await whatClientsSee();
report({
  name: 'adoption',
  question: 'How long is there no supervisor when one dies, and what do clients of the app see of it?',
  small,
  columns: ['what', 'ms', 'over its like, ms'],
  rows,
  judged: [],
  notes: ['its like: a node that does nothing, in the same round; for a request, the longest in as long a time of peace'],
  samples,
});

async function gapWith(workers: number): Promise<void> {
  const home = new Home({ env: { COVET_TEST_FAULT: 'no-safe-mode' } });
  try {
    await home.start({ script: APP, name: 'web', instances: workers, env: { PORT: String(await freePort()) } });
    const bare: number[] = [];
    const gaps: number[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      const nothing = await nodeThatDoesNothing();
      const gap = await supervisorGap(home);
      if (round === 0) continue;
      bare.push(nothing);
      gaps.push(gap);
    }
    const over = gaps.map((ms, i) => ms - bare[i]!);
    rows.push([`SIGKILL of the supervisor → the next one answers, ${workers} workers`, show(figureOf(gaps)), show(figureOf(over))]);
    samples[`gap${workers}`] = gaps;
    samples[`bare${workers}`] = bare;
  } finally {
    await home.end();
  }
}

async function whatClientsSee(): Promise<void> {
  const home = new Home({ env: { COVET_TEST_FAULT: 'no-safe-mode' } });
  const load = await LoadProcess.start();
  try {
    const port = await freePort();
    await home.start({ script: APP, name: 'web', instances: 2, env: { PORT: String(port) } });
    const target = { host: '127.0.0.1', port };
    const longestDuring = async (run: () => Promise<unknown>): Promise<number> => {
      const clients = await load.begin({ kind: 'reconnect', target, connections: 4 });
      await run();
      const tally = await clients.stop();
      if (tally.lost > 0) throw new Error(`Expected no request to be lost, got ${JSON.stringify(tally)}`);
      return tally.longestMs;
    };
    /** And in as long a time of peace after it: the longest of more requests is longer. */
    const pairOf = async (run: () => Promise<unknown>): Promise<readonly [longest: number, inPeace: number]> => {
      const began = performance.now();
      const longest = await longestDuring(run);
      const took = performance.now() - began;
      return [longest, await longestDuring(async () => new Promise((resolve) => setTimeout(resolve, took)))];
    };
    const deaths: (readonly [number, number])[] = [];
    const upgrades: (readonly [number, number])[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      deaths.push(await pairOf(async () => supervisorGap(home)));
      upgrades.push(await pairOf(async () => upgrade(home)));
    }
    for (const [what, pairs] of [
      ['a supervisor dies and the next one takes over', deaths],
      ['covet-pm is upgraded', upgrades],
    ] as const)
      rows.push([
        `longest request while ${what}`,
        show(figureOf(pairs.map(([longest]) => longest))),
        show(figureOf(pairs.map(([longest, inPeace]) => longest - inPeace))),
      ]);
    Object.assign(samples, { deaths: deaths.map(([longest]) => longest), deathsPeace: deaths.map(([, inPeace]) => inPeace) });
    Object.assign(samples, { upgrades: upgrades.map(([longest]) => longest), upgradesPeace: upgrades.map(([, inPeace]) => inPeace) });
  } finally {
    await load.close();
    await home.end();
  }
}

/** The client waits for the next one as every command does. Of one that has lived: covet-init lets a pause grow for those that die at once. */
async function supervisorGap(home: Home): Promise<number> {
  const { pid, startedAt } = (await home.list()).supervisor;
  await new Promise((resolve) => setTimeout(resolve, Date.parse(startedAt) + LIFE_MS - Date.now()));
  const began = performance.now();
  process.kill(pid, 'SIGKILL');
  for (;;) {
    const client = await connect({ home: home.path }).catch(() => null);
    const answer = await client?.ping().catch(() => null);
    client?.close();
    if (answer != null && answer.supervisor.pid !== pid) return performance.now() - began;
    if (performance.now() - began > ADOPTION_MS_MAX) throw new Error(`Expected another supervisor within ${ADOPTION_MS_MAX} ms`);
  }
}

/** To the version that runs, as its own successor: the same hand-over, and nothing to be placed in the home. */
async function upgrade(home: Home): Promise<void> {
  const { code, stderr } = await home.covet('upgrade');
  if (code !== 0) throw new Error(`Expected the upgrade to succeed, got exit ${code}: ${stderr}`);
}

async function nodeThatDoesNothing(): Promise<number> {
  const began = performance.now();
  await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit');
  return performance.now() - began;
}
