/** reload: every worker replaced, no connection lost, or nothing changed. */
import { appEnv } from '../apps/caller-env.ts';
import { readDescriptorGrant } from '../host/descriptor-grant.ts';
import { descriptorsOf, requireDescriptors } from '../host/descriptor-policy.ts';
import { reload } from '../apps/verbs.ts';
import type { Handler } from './handlers.ts';
import { stopView } from './views.ts';

export const reloadApp: Handler<'reload'> = async ({ core, progress }, { app: name, env }) => {
  const app = core.appToRun(name);
  // The sockets of the new generation are there already; one worker at a time needs no room of its own.
  if (app.live !== null && app.reloadMode === 'overlap')
    requireDescriptors(name, app.wanted, descriptorsOf(app.wanted, 0), readDescriptorGrant());
  const onEvent = (event: { type: string; app?: string; generation?: number }): void => {
    if (event.app !== name) return;
    if (event.type === 'reload.started') progress(`starting ${app.wanted} workers of generation ${event.generation}`);
    if (event.type === 'reload.flipped') progress(`generation ${event.generation} serves; the old workers finish what they have`);
  };
  core.events.on('event', onEvent);
  try {
    const outcome = await reload(app, env === undefined ? null : appEnv(env, app.config.env));
    return { ...stopView(core, app, outcome), mode: outcome.mode, generation: outcome.generation, durationMs: outcome.durationMs };
  } finally {
    core.events.off('event', onEvent);
  }
};
