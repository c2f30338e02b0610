/** resurrect: run what was wanted when the last supervisor ended. */
import type { Handler } from './handlers.ts';
import { listView } from './views.ts';

export const resurrect: Handler<'resurrect'> = async ({ core, progress }) => {
  core.requireAlive();
  progress('starting what was wanted');
  core.safeMode.leave();
  const failed = await core.resurrect();
  return { ...listView(core), failed };
};
