/**
 * covet-init and its supervisor are killed at once: nobody is left to look after the workers, and yet nothing of theirs breaks. They accept,
 * answer, keep their connections, and write into pipes whose read ends they hold themselves.
 */
import assert from 'node:assert/strict';
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs';
import { describe, test } from 'node:test';
import { eventually } from './eventually.ts';
import type { Home } from './home.ts';
import { openFds, processInfo } from './processes.ts';
import { assertNothingLost, said, Served, stopAll } from './served.ts';

/** Lines that each worker writes when nobody reads them any more. */
const TICKS = 50;
const PIPE_BYTES = 65_536;

/** A zombie is dead: whether it is reaped is the affair of whoever it was left to. */
const isAlive = (pid: number): boolean => ![undefined, 'Z'].includes(processInfo(pid)?.state);

describe('death of covet-init and its supervisor at once', () => {
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
    // As docs/reliability.md says: what was wanted runs again once they are gone.
    const resurrected = await home.covet('resurrect');
    assert.equal(resurrected.code, 0, said(resurrected));
    assert.equal((await home.app()).status, 'online');
  });
});

/** Neither is given the time to follow the other. */
async function killBoth(home: Home): Promise<void> {
  const { init, supervisor } = await home.list();
  for (const pid of [init.pid, supervisor.pid]) {
    process.kill(pid, 'SIGSTOP');
    await eventually('it to be stopped', () => processInfo(pid)?.state === 'T');
  }
  for (const pid of [init.pid, supervisor.pid]) process.kill(pid, 'SIGKILL');
  await eventually('both to be dead', () => !isAlive(init.pid) && !isAlive(supervisor.pid));
}

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

async function endAll(pids: readonly number[]): Promise<void> {
  for (const pid of pids) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  await eventually('the workers to be gone', () => !pids.some(isAlive));
}
