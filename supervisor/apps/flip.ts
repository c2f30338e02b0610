/**
 * The moment of a reload: from the old half to the new one. On disk first: a supervisor that dies before that was never reloading, one that
 * dies after finishes it.
 */
import type { App } from './app.ts';

/** Never rejects: what goes wrong fails the reload, or is said. */
export async function flip(app: App, to: number): Promise<void> {
  const environment = app.generations.get(to)?.env;
  app.deps.env.reach(`up:${to}`);
  try {
    // With the environment that the reload was asked for, if it was.
    await app.save({ live: to, ...(environment === undefined ? {} : { env: environment }) });
  } catch (error) {
    app.dispatch({ type: 'reloadFailed', reason: (error as Error).message });
    return;
  }
  app.deps.env.reach(`written:${to}`);
  const { plan } = app;
  const candidate = app.generations.get(to);
  if (plan.phase !== 'reloading' || plan.candidate !== to || candidate === undefined) return takeBack(app);
  const { env, events, registry } = app.deps;
  app.host.left.leave(candidate);
  if (!env.faults.has('no-flip')) {
    for (const listener of registry.of(app.name)) {
      if (app.host.left.has(listener)) continue;
      listener.flip(candidate.half);
      const half = candidate.half === 0 ? 'A' : 'B';
      events.announce({ type: 'listener.flipped', app: app.name, listener: listener.key, generation: to, half });
    }
  }
  candidate.take();
  events.announce({ type: 'reload.flipped', app: app.name, generation: to });
  env.reach(`flipped:${to}`);
  app.dispatch({ type: 'flipped' });
  for (const listener of registry.of(app.name)) listener.refresh();
  env.reach(`draining:${to}`);
}

/** The candidate failed, or the app was stopped, while the flip was written: what serves is what it was. */
async function takeBack(app: App): Promise<void> {
  if (app.live === null || app.isForgotten) return;
  await app.save({ live: app.live.number, env: app.live.env }).catch((error: Error) => app.deps.logs.say(app.name, error.message));
}
