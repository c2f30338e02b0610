/**
 * `jlist`: the list in the shape PM2's scripts read (`name`, `pid`, `pm_id`, `monit`, `pm2_env`), one object a worker. New scripts
 * want `list --json`, which says more and is versioned.
 */
import type { ListView, WorkerView } from '../../../supervisor/protocol/operations.ts';
import type { SlotState } from '../../../supervisor/protocol/states.ts';

const PM2_STATUS: Readonly<Record<SlotState, string>> = {
  cold: 'stopped',
  spawning: 'launching',
  booting: 'launching',
  ready: 'online',
  draining: 'stopping',
  stopping: 'stopping',
  exited: 'stopped',
  backoff: 'waiting restart',
  failed: 'errored',
};

export function jlist(view: Pick<ListView, 'apps'>, nowMs: number): unknown[] {
  const workers = view.apps.flatMap((app) => app.workers.map((worker) => ({ name: app.name, instances: app.wanted, worker })));
  return workers.map(({ name, instances, worker }, id) => ({
    pid: worker.pid,
    name,
    pm_id: id,
    monit: { memory: worker.rssBytes, cpu: worker.cpuPercent },
    pm2_env: environment(name, instances, worker, id, nowMs),
  }));
}

function environment(name: string, instances: number, worker: WorkerView, id: number, nowMs: number): Record<string, unknown> {
  return {
    name,
    pm_id: id,
    instances,
    NODE_APP_INSTANCE: worker.slot,
    status: PM2_STATUS[worker.state],
    restart_time: worker.restarts,
    pm_uptime: worker.pid === 0 ? 0 : Math.round(nowMs - worker.uptimeMs),
  };
}
