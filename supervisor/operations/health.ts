/** health: whether what is wanted serves. For a container's health check, a balancer or a cron job: yes or no, and why in one line. */
import type { App } from '../apps/app.ts';
import type { AppHealth } from '../protocol/operations.ts';
import type { AppStatus } from '../protocol/states.ts';
import type { Handler } from './handlers.ts';

const SERVING: ReadonlySet<AppStatus> = new Set(['online', 'reloading', 'degraded']);

export const health: Handler<'health'> = async ({ core }, { app: name }) => {
  const asked = name === undefined ? [...core.apps.values()].filter((app) => app.record.isWanted) : [core.app(name)];
  const apps = asked.map(healthOf);
  const ill = apps.filter(({ isHealthy }) => !isHealthy);
  const told = ill.length > 0 ? ill : apps;
  return {
    apiVersion: 1,
    isHealthy: ill.length === 0,
    reason: told.length === 0 ? 'no app is wanted' : told.map(({ reason }) => reason).join('; '),
    apps,
  };
};

function healthOf(app: App): AppHealth {
  const { name, status, plan } = app;
  const ready = app.current().filter((slot) => slot.state === 'ready').length;
  const failure = plan.phase === 'stopped' && plan.failed !== null ? `: ${plan.failed.replaceAll('\n', ' ')}` : '';
  const reason = `${name} is ${status}, ${ready} of ${app.wanted} workers ready${failure}`;
  return { name, status, isHealthy: SERVING.has(status) && ready > 0, reason };
}
