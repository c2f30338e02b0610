/**
 * What each death costs, as docs/reliability.md promises it: the table there is read, each of its rows is played with that many connections in
 * each of its states, and what is lost must be what it says.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Fate, type Parked, type State, STATES } from '../load/parked.ts';
import { repositoryRoot } from './root.ts';

/** The table's rows. Each is played by a test. */
export const DEATHS = [
  'a worker',
  'the supervisor',
  'covet-init',
  'both at once',
  'covet-init, under systemd',
  'both at once, under systemd',
] as const;
export type Death = (typeof DEATHS)[number];

const COUNT = 8;

/** An app of one worker, so that it has all that is accepted in its hands. */
export interface Scene {
  readonly parked: Parked;
  readonly worker: number;
  signal(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** Connections in the listeners' queues. */
  queued(): Promise<number>;
  /** Resolves when there is a successor. */
  kill(): Promise<void>;
}

/** Plays one row: says each cell, asserts them all, and answers with who had what. */
export async function assertCost(t: TestContext, death: Death, scene: Scene): Promise<void> {
  const promised = promises().get(death);
  assert.ok(promised, `docs/reliability.md has no row for ${death}`);
  const accepted = STATES.filter((state) => state !== 'queued');
  await scene.parked.park(accepted, COUNT);
  await scene.signal('SIGSTOP');
  await scene.parked.park(['queued'], COUNT);
  assert.equal(await scene.queued(), COUNT);
  await scene.kill();
  if (death !== 'a worker') await scene.signal('SIGCONT');
  const fates = await scene.parked.use();
  for (const { state, parked, lost } of fates) t.diagnostic(`${death} killed, ${state}: ${lost} of ${parked} lost`);
  assert.deepEqual(lostOf(fates), promised, fates.flatMap(({ state, reasons }) => reasons.map((why) => `${state}: ${why}`)).join('\n'));
  for (const { state, by } of fates.filter(({ lost }) => lost === 0))
    if (death === 'a worker') assert.ok(!by.includes(scene.worker), `${state}: the dead answered`);
    else assert.deepEqual(by, [scene.worker], `${state}: answered by the worker that had it`);
}

/** Row → state → how many of COUNT are lost. */
export function promises(): ReadonlyMap<string, Readonly<Record<State, number>>> {
  const page = readFileSync(join(repositoryRoot(), 'docs/reliability.md'), 'utf8');
  const rows = page.split('\n').map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  const at = rows.findIndex((cells) => cells.slice(1).join() === STATES.join());
  assert.notEqual(at, -1, `docs/reliability.md has no table of ${STATES.join(', ')}`);
  const table = rows.slice(at + 2);
  return new Map(
    table
      .slice(
        0,
        table.findIndex((cells) => cells.length === 0),
      )
      .map(([death = '', ...cells]) => {
        const lost = STATES.map((state, i) => {
          const [, number, of] = /^(\d+) of (\d+)$/.exec(cells[i] ?? '') ?? [];
          assert.equal(Number(of), COUNT, `docs/reliability.md, ${death}, ${state}: expected "<lost> of ${COUNT}", got "${cells[i]}"`);
          return [state, Number(number)] as const;
        });
        return [death, Object.fromEntries(lost) as Record<State, number>];
      }),
  );
}

function lostOf(fates: readonly Fate[]): Record<State, number> {
  const lost = new Map(fates.map((fate) => [fate.state, fate.lost]));
  return Object.fromEntries(STATES.map((state) => [state, lost.get(state) ?? Number.NaN])) as Record<State, number>;
}
