/** Views as a supervisor gives them, for the printers and the fake supervisor; each test changes what it is about. */
import type { AppView, DescribeView, ListView, StopView, WorkerView } from '../../supervisor/protocol/operations.ts';

const NO_CONNECTIONS = { http1: 0, http1Idle: 0, http2: 0, websocket: 0, sse: 0, raw: 0 };

export function worker(over: Partial<WorkerView> = {}): WorkerView {
  return {
    slot: 0,
    pid: 4_001,
    state: 'ready',
    generation: 3,
    cpus: [0, 1],
    restarts: 0,
    uptimeMs: 200_000,
    cpuPercent: 12.34,
    rssBytes: 50 * 1024 * 1024,
    ...over,
  };
}

export function app(over: Partial<AppView> = {}): AppView {
  return {
    name: 'web',
    status: 'online',
    wanted: 2,
    generation: 3,
    listen: ['tcp://[::]:3000'],
    workers: [worker(), worker({ slot: 1, pid: 4_002, restarts: 2 })],
    ...over,
  };
}

export function list(...apps: AppView[]): ListView {
  const supervisor = { pid: 2, version: '0.1.0', startedAt: '2026-01-01T00:00:00.000Z', safeMode: false, stateProblem: null };
  return { apiVersion: 1, init: { pid: 1 }, supervisor, apps };
}

export function stopView(over: Partial<StopView> = {}): StopView {
  return {
    apiVersion: 1,
    app: app({ status: 'stopped', workers: [] }),
    drain: {
      handedOver: 12,
      drained: { ...NO_CONNECTIONS, http1: 2, sse: 1 },
      idleClosed: 0,
      cut: NO_CONNECTIONS,
    },
    killed: 0,
    ...over,
  };
}

export function describeView(over: Partial<DescribeView> = {}): DescribeView {
  return {
    apiVersion: 1,
    ...app(),
    config: { script: '/srv/app.js', instances: 2 },
    env: ['PATH', 'HOME'],
    mode: 'cluster',
    reload: 'overlap',
    stopTimeoutMs: 35_000,
    pin: { on: false, why: '2 CPUs are allowed, at least 4 are needed' },
    listeners: [
      { listener: 'tcp://[::]:3000', condition: 'open', dispatch: 'bpf', half: 'A', eligible: [0, 1], queued: [0, 3], backlog: 511 },
    ],
    lastExit: null,
    logs: { out: '/var/log/covet-pm/web.out.log', err: '/var/log/covet-pm/web.err.log', lastLines: ['listening', 'evil \u001b[2J'] },
    events: [{ seq: 1, at: '2026-01-01T00:00:00.000Z', type: 'reload.finished', app: 'web', generation: 3, durationMs: 1_234 }],
    ...over,
  };
}
