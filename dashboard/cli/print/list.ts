/** `list`: a row an app, and with `--workers` a row for each of its slots beneath it. */
import type { AppView, ListView, WorkerView } from '../../../supervisor/protocol/operations.ts';
import type { AppStatus, SlotState } from '../../../supervisor/protocol/states.ts';
import type { Paint, Style } from './style.ts';
import { table, type Cell, type Column } from './table.ts';
import { bytes, duration, percent } from './units.ts';
import { visible } from './visible.ts';

/** What `list` shows, and prints as JSON, when no supervisor runs. */
export const EMPTY_LIST = { apiVersion: 1, init: null, supervisor: null, apps: [] } as const;

const APP_COLUMNS: readonly Column[] = [
  { title: 'name', shrinksTo: 8 },
  { title: 'status' },
  { title: 'gen', isNumber: true, leaves: 2 },
  { title: 'ready', isNumber: true },
  { title: 'listen', shrinksTo: 10, leaves: 3 },
  { title: 'cpu', isNumber: true, leaves: 6 },
  { title: 'memory', isNumber: true, leaves: 5 },
  { title: 'restarts', isNumber: true, leaves: 1 },
  { title: 'uptime', isNumber: true, leaves: 4 },
];

const STATUS_COLOURS: Readonly<Record<AppStatus | SlotState, Paint | undefined>> = {
  online: 'green',
  ready: 'green',
  completed: 'green',
  starting: 'cyan',
  reloading: 'cyan',
  spawning: 'cyan',
  booting: 'cyan',
  waiting: 'yellow',
  degraded: 'yellow',
  backoff: 'yellow',
  draining: 'yellow',
  stopping: 'yellow',
  failed: 'red',
  stopped: 'dim',
  cold: 'dim',
  exited: 'dim',
};

export function printList(view: Pick<ListView, 'apps'>, style: Style, withWorkers = false): string {
  const rows = view.apps.flatMap((app) => [appRow(app, style), ...(withWorkers ? app.workers.map(workerRow) : [])]);
  // A worker's pid stands in the one column that means nothing for it and never leaves.
  const columns = withWorkers
    ? APP_COLUMNS.map((column) => (column.title === 'ready' ? { ...column, title: 'ready/pid' } : column))
    : APP_COLUMNS;
  return table(columns, rows, style);
}

/** To stderr: what `list` shows is not looked after, or not all there is. */
export function warnOfTrouble({ supervisor }: { readonly supervisor: ListView['supervisor'] | null }): void {
  if (supervisor?.safeMode === true) {
    process.stderr.write(
      'The supervisor is in safe mode: it died several times within a minute, and starts nothing. `covet-pm doctor` says more.\n',
    );
  }
  // A supervisor of before this field gives none.
  if (supervisor?.stateProblem) process.stderr.write(`Apps may be missing: ${supervisor.stateProblem}\n`);
}

export function statusCell(status: AppStatus | SlotState): Cell {
  return { text: status, colour: STATUS_COLOURS[status] };
}

/** `tcp://[::]:3000` is every address of both families, which ss(8) writes `*:3000`. */
export function listenText(listener: string): string {
  return listener.replace(/^tcp:\/\/(\[::\](?=:))?/, (_, any: string | undefined) => (any === undefined ? '' : '*'));
}

function appRow(app: AppView, style: Style): Cell[] {
  const alive = app.workers.filter(({ pid }) => pid !== 0);
  const current = alive.filter(({ generation }) => generation === app.generation);
  const ready = current.filter(({ state }) => state === 'ready').length;
  return [
    { text: visible(style, app.name), colour: 'bold' },
    statusCell(app.status),
    { text: String(app.generation) },
    { text: `${ready}/${app.wanted}`, colour: ready < app.wanted && app.status !== 'stopped' ? 'yellow' : undefined },
    { text: visible(style, app.listen.map(listenText).join(' ')) || '-' },
    ...usage(alive.length > 0, sum(alive, 'cpuPercent'), sum(alive, 'rssBytes')),
    { text: String(sum(app.workers, 'restarts')) },
    { text: current.length === 0 ? '-' : duration(Math.max(...current.map(({ uptimeMs }) => uptimeMs))) },
  ];
}

function workerRow(worker: WorkerView, i: number, workers: readonly WorkerView[]): Cell[] {
  const isAlive = worker.pid !== 0;
  return [
    { text: `${i === workers.length - 1 ? '└' : '├'} ${worker.slot}` },
    statusCell(worker.state),
    { text: String(worker.generation) },
    { text: isAlive ? String(worker.pid) : '-' },
    { text: '' },
    ...usage(isAlive, worker.cpuPercent, worker.rssBytes),
    { text: String(worker.restarts) },
    { text: isAlive ? duration(worker.uptimeMs) : '-' },
  ];
}

export function usage(isAlive: boolean, cpuPercent: number, rssBytes: number): Cell[] {
  return isAlive ? [{ text: percent(cpuPercent) }, { text: bytes(rssBytes) }] : [{ text: '-' }, { text: '-' }];
}

function sum(workers: readonly WorkerView[], field: 'cpuPercent' | 'rssBytes' | 'restarts'): number {
  return workers.reduce((total, worker) => total + worker[field], 0);
}
