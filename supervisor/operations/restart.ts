/** restart: stop, then start. */
import { appEnv } from '../apps/caller-env.ts';
import { restart } from '../apps/verbs.ts';
import type { Handler } from './handlers.ts';
import { appView } from './views.ts';

export const restartApp: Handler<'restart'> = async ({ core, progress }, { app: name, env }) => {
  const app = core.appToRun(name);
  progress(`restarting ${name}`);
  await restart(app, env === undefined ? null : appEnv(env, app.config.env));
  return { apiVersion: 1, app: appView(core, app) };
};
