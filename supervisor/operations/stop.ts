/** stop and delete: drain and end every worker; delete also forgets the app. */
import { stop } from '../apps/verbs.ts';
import type { Handler } from './handlers.ts';
import { stopView } from './views.ts';

export const stopApp: Handler<'stop'> = async ({ core, progress }, { app: name }) => {
  const app = core.app(name);
  core.safeMode.forget(name);
  progress(`draining ${name}`);
  return stopView(core, app, await stop(app, 'stop'));
};

export const deleteApp: Handler<'delete'> = async ({ core, progress }, { app: name }) => {
  const app = core.app(name);
  core.safeMode.forget(name);
  progress(`draining ${name}`);
  return stopView(core, app, await stop(app, 'delete'));
};
