/**
 * covet-init and its supervisor are killed at once: nobody is left to look after the workers, and yet nothing of theirs breaks. They accept,
 * answer, keep their connections, and write into pipes whose read ends they hold themselves. The next supervisor takes them back.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { endAll, isAlive, killBoth, takeBack } from './both-die.ts';
import { eventually } from './eventually.ts';
import { resultOf, SHORT } from './home.ts';
import { openFds } from './processes.ts';
import { refusingHost } from './refusing-host.ts';
import type { Cell } from './reload-cells.ts';
import { repositoryRoot } from './root.ts';
import { assertNothingLost, said, Served, type ServedOptions, stopAll } from './served.ts';
import { ALL, control, further, isAgain, picked } from './tier.ts';

/** Lines that each worker writes when nobody reads them any more. */
const TICKS = 50;
const PIPE_BYTES = 65_536;
const CLIENTS: readonly Cell[] = [
  { client: 'reconnect', connections: 8 },
  { client: 'keepAlive', connections: 8, thinkMs: [0, 20], keeps: true },
];
/** Who chooses among an address's sockets: a program, the kernel's hash, or nobody, for there is one. */
const KINDS: readonly (readonly [dispatch: 'bpf' | 'hash' | 'shared', Partial<ServedOptions>])[] = [
  ['bpf', {}],
  ['hash', { config: { reuseportBpf: 'off' } }],
  ['shared', { unix: true }],
];

const kinds = ALL || isAgain ? picked(KINDS) : [KINDS[0]!, ...picked(KINDS.slice(1))];
const TIMES = ALL ? 3 : isAgain ? 1 : 2;

describe('death of covet-init and its supervisor at once', () => {
  const hostWithout = refusingHost();

  test('the workers serve on, lose nothing, and what they write waits in their pipes', async (t) => {
    const served = await Served.start(t, { app: 'ticks.cjs' });
    const { home } = served;
    const pids = await home.pids();
    const loads = await served.beginAll([
      { client: 'reconnect', connections: 8 },
      { client: 'keepAlive', connections: 8, thinkMs: [0, 20], keeps: true },
    ]);
    try {
      await killBoth(home);
      await eventually('lines in the pipes', () => pids.every((pid) => !isAlive(pid) || waiting(pid).ticks >= TICKS));
      assert.deepEqual(pids.filter(isAlive), pids, 'every worker lives');
      await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections * 20)));
      assertNothingLost(await stopAll(loads));
      assert.deepEqual(pids.filter(isAlive), pids, 'every worker lives');
      const list = await home.covet('list');
      assert.equal(list.code, 3, said(list));
      const written = readFileSync(home.logFile('out'), 'utf8');
      for (const [slot, pid] of pids.entries()) assertNoGap(slot, written, waiting(pid).text);
    } finally {
      await endAll(pids);
    }
    // Nothing lives that could be taken back: what was wanted runs again.
    const resurrected = await home.covet('resurrect');
    assert.equal(resurrected.code, 0, said(resurrected));
    assert.equal((await home.app()).status, 'online');
  });

  for (const [dispatch, options] of kinds)
    test(`${dispatch}: \`resurrect\` takes the same workers back, ${TIMES === 1 ? 'once' : `${TIMES} times in a row`}, and nothing is lost then or later`, async (t) => {
      const served = await Served.start(t, { app: 'ticks.cjs', ...options });
      const { home } = served;
      const pids = await home.pids();
      const loads = await served.beginAll(CLIENTS);
      const dieAndComeBack = async (): Promise<void> => {
        const before = await home.pids();
        await killBoth(home);
        await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections * 5)));
        const list = await home.covet('list');
        assert.equal(list.code, 3, said(list));
        assert.match(list.stderr, /2 of its workers still serve: `covet-pm resurrect` takes them back\./);
        await takeBack(home, before);
        await Promise.all(loads.map(async ({ load, cell }) => load.more(cell.connections * 5)));
      };
      for (let time = 0; time < TIMES; time++) await dieAndComeBack();
      assert.deepEqual(await home.pids(), pids);
      const lines = readFileSync(home.logFile('out'), 'utf8');
      for (const slot of [0, 1]) assertNoGap(slot, lines, '');
      const { listeners } = (await home.covet('describe', 'web', '--json')).as('describe');
      assert.deepEqual(
        listeners.map((listener) => listener.dispatch),
        [dispatch],
      );
      served.deployment.release('r2', 'ticks.cjs');
      await served.reload();
      // On the other half now, whose last socket has another place in the kernel's group without the guard.
      await dieAndComeBack();
      const accounts = await stopAll(loads);
      assertNothingLost(accounts);
      for (const { tally } of accounts) assert.ok(Object.hasOwn(tally.builds, 'r2'), JSON.stringify(tally.builds));
      const [victim = 0] = await home.pids();
      process.kill(victim, 'SIGKILL');
      await eventually('a successor', async () => {
        const { workers } = await home.app();
        return workers.length === 2 && workers.every(({ pid, state }) => pid !== victim && state === 'ready');
      });
    });

  test('the end of a worker that was taken back is seen, and its successor has its socket', further, async (t) => {
    const { home, port } = await Served.start(t, { app: 'ticks.cjs' });
    const pids = await home.pids();
    await killBoth(home);
    await takeBack(home, pids);
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    await eventually('successors', async () => {
      const { workers } = await home.app();
      return workers.length === 2 && workers.every(({ pid, state }) => !pids.includes(pid) && state === 'ready');
    });
    assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200);
  });

  test('a worker that dies before it is taken back is started anew, the other one is the same', further, async (t) => {
    const { home } = await Served.start(t, { app: 'ticks.cjs' });
    const [first = 0, second = 0] = await home.pids();
    await killBoth(home);
    process.kill(first, 'SIGKILL');
    await eventually('it to be dead', () => !isAlive(first));
    const result = await home.covet('resurrect');
    assert.equal(result.code, 0, said(result));
    await eventually('both slots to be served', async () => {
      const { workers } = await home.app();
      return workers.length === 2 && workers.every(({ state }) => state === 'ready');
    });
    const pids = await home.pids();
    assert.ok(pids.includes(second) && !pids.includes(first), pids.join(' '));
  });

  test('`start` of another app takes them back too, and `kill` ends them', async (t) => {
    const { home, deployment } = await Served.start(t, { app: 'ticks.cjs' });
    const pids = await home.pids();
    await killBoth(home);
    await home.start({ ...SHORT, name: 'other', script: deployment.script, cwd: deployment.folder, env: { PORT: '0' } });
    assert.deepEqual(await home.pids(), pids);
    const others = await home.pids('other');
    await killBoth(home);
    const killed = await home.covet('kill');
    assert.equal(killed.code, 0, said(killed));
    await eventually('the workers to be gone', () => ![...pids, ...others].some(isAlive));
  });

  test('where the kernel lets nobody look into them it is said, and they serve on', async (t) => {
    const served = await Served.start(t, { app: 'ticks.cjs' });
    const { home } = served;
    const pids = await home.pids();
    await killBoth(home);
    const [program = '', ...args] = hostWithout('pidfd_getfd');
    const child = spawn(program, [...args, process.execPath, join(repositoryRoot(), 'dist/covet-pm.cjs'), 'resurrect'], { env: home.env });
    const refused = await resultOf(child, 'resurrect');
    assert.equal(refused.code, 1, said(refused));
    assert.match(refused.stderr, /Cannot take the workers back.*kernel\.yama\.ptrace_scope/s);
    assert.deepEqual(pids.filter(isAlive), pids);
    await takeBack(home, pids);
  });

  test('without its record nothing is found again, and the test above would fail', control, async (t) => {
    const { home } = await Served.start(t, { app: 'ticks.cjs' });
    const pids = await home.pids();
    await killBoth(home);
    rmSync(join(home.path, 'run/held'));
    try {
      await assert.rejects(takeBack(home, pids));
    } finally {
      await endAll(pids);
    }
  });
});

/** What a worker's own read end of its stdout holds. It is taken out, and kept for the next look. */
const taken = new Map<number, string>();
function waiting(pid: number): { text: string; ticks: number } {
  const links = openFds(pid).map((line) => line.split(' ') as [fd: string, target: string]);
  const stdout = links.find(([fd]) => fd === '1')?.[1];
  const reader = links.find(([fd, target]) => target === stdout && fd !== '1');
  let text = taken.get(pid) ?? '';
  if (reader !== undefined) {
    // A moment's second reader: it is the worker's own that has kept the pipe from breaking until here.
    const fd = openSync(`/proc/${pid}/fd/${reader[0]}`, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const piece = Buffer.alloc(PIPE_BYTES);
      text += piece.toString('utf8', 0, readSync(fd, piece));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    } finally {
      closeSync(fd);
    }
  }
  taken.set(pid, text);
  return { text, ticks: text.split('\n').length - 1 };
}

/** A line may be there twice, in the log and in the pipe. */
function assertNoGap(slot: number, written: string, text: string): void {
  const numbers = [...`${written}${text}`.matchAll(new RegExp(`^count ${slot} (\\d+)$`, 'gm'))].map(([, number]) => Number(number));
  for (const [at, number] of numbers.entries()) {
    const previous = numbers[at - 1] ?? 0;
    assert.ok(number <= previous + 1, `slot ${slot}: ${number} follows ${previous}`);
  }
  assert.ok(numbers.length >= TICKS);
}
