/** What the tests of both deaths share: killing covet-init and its supervisor at once, and taking their workers back. */
import assert from 'node:assert/strict';
import { eventually } from './eventually.ts';
import type { Home } from './home.ts';
import { processInfo } from './processes.ts';
import { said } from './served.ts';

/** Of both, asked while they answer. */
export interface Both {
  readonly init: { readonly pid: number };
  readonly supervisor: { readonly pid: number };
}

/** A zombie is dead: whether it is reaped is the affair of whoever it was left to. */
export const isAlive = (pid: number): boolean => ![undefined, 'Z'].includes(processInfo(pid)?.state);

/** Neither is given the time to follow the other. */
export async function killBoth(home: Home, both?: Both): Promise<void> {
  const { init, supervisor } = both ?? (await home.list());
  for (const pid of [init.pid, supervisor.pid]) {
    process.kill(pid, 'SIGSTOP');
    await eventually('it to be stopped', () => processInfo(pid)?.state === 'T');
  }
  for (const pid of [init.pid, supervisor.pid]) process.kill(pid, 'SIGKILL');
  await eventually('both to be dead', () => !isAlive(init.pid) && !isAlive(supervisor.pid));
}

export async function takeBack(home: Home, pids: readonly number[]): Promise<void> {
  const result = await home.covet('resurrect');
  assert.equal(result.code, 0, `${said(result)}\n${home.log()}`);
  const app = await home.app();
  assert.equal(app.status, 'online');
  assert.deepEqual(
    app.workers.map(({ pid }) => pid),
    pids,
    'the same workers',
  );
}

export async function endAll(pids: readonly number[]): Promise<void> {
  for (const pid of pids) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  await eventually('the workers to be gone', () => !pids.some(isAlive));
}
