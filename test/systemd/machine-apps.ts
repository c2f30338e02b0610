/** The apps that run under systemd on a machine: asked, put under load, left without covet-init or its supervisor, and what that cost. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../promises/eventually.ts';
import { type Load, LoadProcess } from '../load/load.ts';
import type { ClientKind } from '../load/options.ts';
import type { Tally } from '../load/tally.ts';
import type { OperationResults } from '../../supervisor/protocol/operations.ts';
import type { Machine } from './machine.ts';

/** Of the app `web`; other apps have the next ones. */
export const PORT = 3_000;
const CONNECTIONS = 8;

/** Clients that open a connection for each request, and some that keep theirs, until `act` is done. */
export async function underLoad(
  machine: Machine,
  act: (clients: readonly Load[]) => Promise<void>,
  { port = PORT, kinds = ['reconnect', 'keepAlive'] as readonly ClientKind[] } = {},
): Promise<Tally[]> {
  const load = await LoadProcess.start(machine.inNetwork);
  try {
    const clients: Load[] = [];
    for (const kind of kinds) clients.push(await load.begin({ kind, target: { host: '127.0.0.1', port }, connections: CONNECTIONS }));
    await act(clients);
    return await Promise.all(clients.map(async (client) => client.stop()));
  } finally {
    await load.close();
  }
}

export function assertNothingLost(accounts: readonly Tally[]): void {
  for (const { lost, lostBy, answered, examples } of accounts) {
    assert.equal(lost, 0, JSON.stringify({ lostBy, examples }));
    assert.ok(answered > 0);
  }
}

export async function kill(machine: Machine, who: readonly ('init' | 'supervisor')[]): Promise<void> {
  const view = await machine.json('list');
  await machine.ok('kill', '-KILL', ...who.map((each) => String(view[each].pid)));
  await answers(machine, view);
}

/** Another supervisor answers. */
export async function answers(
  machine: Machine,
  { supervisor }: { readonly supervisor: { readonly pid: number; readonly startedAt: string } },
): Promise<void> {
  await eventually('another supervisor', async () => {
    const { code, stdout } = await machine.run('covet-pm', 'list', '--json');
    return code === 0 && (JSON.parse(stdout) as { supervisor: { startedAt: string } }).supervisor.startedAt !== supervisor.startedAt;
  });
}

export async function workers(machine: Machine): Promise<number[]> {
  return pidsOf(await machine.json('list'));
}

export function pidsOf({ apps }: OperationResults['list']): number[] {
  return apps.flatMap(({ workers: each }) => each.filter(({ state }) => state === 'ready').map(({ pid }) => pid));
}

export async function generations(machine: Machine): Promise<number[]> {
  return (await machine.json('list')).apps.map(({ generation }) => generation);
}

export async function queuedOf(machine: Machine, app: string): Promise<number> {
  const { listeners } = await machine.json('describe', app);
  return listeners.flatMap(({ queued }) => queued).reduce((sum, n) => sum + n, 0);
}

/** Undefined while no supervisor answers. */
export async function statusOf(machine: Machine, app: string): Promise<string | undefined> {
  return (await statuses(machine)).get(app);
}

export async function allOnline(machine: Machine): Promise<void> {
  await eventually('every app to be online', async () => {
    const all = await statuses(machine);
    return all.size > 0 && [...all.values()].every((status) => status === 'online');
  });
}

/** None while no supervisor answers. */
async function statuses(machine: Machine): Promise<Map<string, string>> {
  const { code, stdout } = await machine.run('covet-pm', 'list', '--json');
  const apps = code === 0 ? (JSON.parse(stdout) as OperationResults['list']).apps : [];
  return new Map(apps.map(({ name, status }) => [name, status]));
}

export const countsLog = (machine: Machine): Buffer => readFileSync(join(machine.root, 'var/log/covet-pm/counts-out.log'));

/** From `at` bytes on every line of the one worker of counts.cjs is whole, and no number is missing; one may be there twice. */
export function assertCounted(machine: Machine, at: number): void {
  const [, ...lines] = countsLog(machine).subarray(at).toString().split('\n').slice(0, -1);
  let last = Number.NaN;
  for (const line of lines) {
    const count = Number(/^count 0 (\d+)$/.exec(line)?.[1] ?? Number.NaN);
    assert.ok(Number.isNaN(last) || count <= last + 1, `Expected ${last + 1} at most, got "${line}"`);
    last = count;
  }
  assert.ok(last > 0);
}
