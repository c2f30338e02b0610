/** kill: every app, then the supervisor and covet-init. The answer is sent before they go. */
import type { Handler } from './handlers.ts';

export const kill: Handler<'kill'> = async ({ core, progress }) => {
  const apps = [...core.apps.values()].filter((app) => app.plan.phase !== 'stopped').length;
  progress(`draining ${apps} ${apps === 1 ? 'app' : 'apps'}`);
  await core.stopAll('kill was asked for');
  return { apiVersion: 1, apps };
};
