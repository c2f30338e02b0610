/** scale: more workers start, or the highest slots drain. */
import { scale } from '../apps/verbs.ts';
import type { Handler } from './handlers.ts';
import { appView } from './views.ts';

export const scaleApp: Handler<'scale'> = async ({ core, progress }, { app: name, instances }) => {
  const app = core.appToRun(name);
  progress(`scaling ${name} to ${instances}`);
  await scale(app, instances);
  return { apiVersion: 1, app: appView(core, app) };
};
