/** `describe`: one app in full, as short sections of `label  value` lines, its workers and listeners as tables. */
import type { DescribeView, ListenerView, WorkerView } from '../../../supervisor/protocol/operations.ts';
import { printEvent } from './events.ts';
import { listenText, statusCell, usage } from './list.ts';
import { paint, type Style } from './style.ts';
import { table, type Cell, type Column } from './table.ts';
import { duration } from './units.ts';
import { visible } from './visible.ts';
import { pad } from './width.ts';

const WORKER_COLUMNS: readonly Column[] = [
  { title: 'slot', isNumber: true },
  { title: 'state' },
  { title: 'pid', isNumber: true },
  { title: 'gen', isNumber: true, leaves: 3 },
  { title: 'cpus', shrinksTo: 6, leaves: 1 },
  { title: 'cpu', isNumber: true, leaves: 5 },
  { title: 'memory', isNumber: true, leaves: 6 },
  { title: 'restarts', isNumber: true, leaves: 2 },
  { title: 'uptime', isNumber: true, leaves: 4 },
];

const LISTENER_COLUMNS: readonly Column[] = [
  { title: 'listener', shrinksTo: 10 },
  { title: 'condition' },
  { title: 'dispatch', leaves: 4 },
  { title: 'half', leaves: 2 },
  { title: 'slots', shrinksTo: 6, leaves: 3 },
  { title: 'queued', isNumber: true, leaves: 5 },
  { title: 'backlog', isNumber: true, leaves: 1 },
];

const CONDITION_COLOURS = { open: 'green', refusing: 'red', closed: 'dim' } as const;

export function printDescribe(view: DescribeView, style: Style): string {
  const sections = [facts(view, style), table(WORKER_COLUMNS, view.workers.map(workerRow), style)];
  if (view.listeners.length > 0)
    sections.push(
      table(
        LISTENER_COLUMNS,
        view.listeners.map((listener) => listenerRow(listener, style)),
        style,
      ),
    );
  sections.push(
    section(
      'config',
      Object.entries(view.config).map(([key, value]) => [key, asText(value)]),
      style,
    ),
  );
  const env = Array.isArray(view.env) ? [['names', view.env.join(' ')]] : Object.entries(view.env as Record<string, string>);
  if (env[0]?.[1] !== '') sections.push(section('env', env, style));
  if (view.events.length > 0)
    sections.push(
      lines(
        'last events',
        view.events.map((event) => printEvent(event, style)),
        style,
      ),
    );
  if (view.logs.lastLines.length > 0)
    sections.push(
      lines(
        'last log lines',
        view.logs.lastLines.map((line) => visible(style, line)),
        style,
      ),
    );
  return sections.join('\n');
}

function facts(view: DescribeView, style: Style): string {
  const status = statusCell(view.status);
  const head = `${paint(style, 'bold', view.name)}  ${paint(style, status.colour, status.text)}  generation ${view.generation}\n`;
  return (
    head +
    labelled(
      [
        ['mode', `${view.mode}, reload by ${view.reload}`],
        ['stop', `at most ${duration(view.stopTimeoutMs)}`],
        ['pinned', `${view.pin.on ? 'yes' : 'no'}: ${view.pin.why}`],
        ['last exit', view.lastExit ?? 'none'],
        ['log', view.logs.out],
        ['errors', view.logs.err],
      ],
      style,
    )
  );
}

function workerRow(worker: WorkerView): Cell[] {
  const isAlive = worker.pid !== 0;
  return [
    { text: String(worker.slot) },
    statusCell(worker.state),
    { text: isAlive ? String(worker.pid) : '-' },
    { text: String(worker.generation) },
    { text: ranges(worker.cpus) },
    ...usage(isAlive, worker.cpuPercent, worker.rssBytes),
    { text: String(worker.restarts) },
    { text: isAlive ? duration(worker.uptimeMs) : '-' },
  ];
}

function listenerRow(listener: ListenerView, style: Style): Cell[] {
  return [
    { text: visible(style, listenText(listener.listener)) },
    { text: listener.condition, colour: CONDITION_COLOURS[listener.condition] },
    { text: listener.dispatch },
    { text: listener.half ?? '-' },
    { text: ranges(listener.eligible) },
    { text: String(listener.queued.reduce((total, depth) => total + depth, 0)) },
    { text: String(listener.backlog) },
  ];
}

function section(title: string, entries: readonly (readonly string[])[], style: Style): string {
  return `${paint(style, 'bold', title)}\n${labelled(entries, style)}`;
}

function labelled(entries: readonly (readonly string[])[], style: Style): string {
  const width = Math.max(...entries.map(([label]) => label!.length));
  return entries.map(([label, value]) => `  ${paint(style, 'dim', pad(label!, width, 'right'))}  ${visible(style, value!)}\n`).join('');
}

function lines(title: string, texts: readonly string[], style: Style): string {
  return `${paint(style, 'bold', title)}\n${texts.map((text) => `  ${text}\n`).join('')}`;
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** `0-3,6`: numbers as the kernel's own lists are written. */
function ranges(numbers: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < numbers.length; i++) {
    const first = numbers[i]!;
    while (numbers[i + 1] === numbers[i]! + 1) i++;
    parts.push(numbers[i] === first ? String(first) : `${first}-${numbers[i]}`);
  }
  return parts.join(',') || '-';
}
