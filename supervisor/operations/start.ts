/** start: a new app, on disk before it runs; and a stopped or failed one again. */
import { resolve } from 'node:path';
import { appEnv } from '../apps/caller-env.ts';
import type { App } from '../apps/app.ts';
import { resolveLaunch } from '../apps/launch.ts';
import { start } from '../apps/verbs.ts';
import { readDescriptorGrant } from '../host/descriptor-grant.ts';
import { descriptorsOf, requireDescriptors } from '../host/descriptor-policy.ts';
import { checkConflicts, checkPin } from '../protocol/config-conflicts.ts';
import type { AppConfig } from '../protocol/config.ts';
import { CovetError } from '../protocol/errors.ts';
import { APPS_MAX } from '../protocol/units.ts';
import type { SupervisorCore } from '../supervisor.ts';
import type { Handler } from './handlers.ts';
import { appView } from './views.ts';

export const startApp: Handler<'start'> = async ({ core, progress }, { config, env }) => {
  core.requireRunning();
  checkConflicts(config, core.env.uid);
  checkPin(config, core.env.native.affinity(0));
  requireLimits(core, config);
  await resolveLaunch(config, core.env.node);
  // Nothing is awaited between this look and the app's being known: of two starts of one name the second is refused.
  const app = claim(core, config, appEnv(env, config.env));
  core.safeMode.name(app);
  progress(`starting ${app.wanted} ${app.wanted === 1 ? 'worker' : 'workers'} of ${app.name}`);
  try {
    requireRoom(app);
    await start(app);
  } catch (error) {
    // Nothing half-done: what never came to disk is not known either.
    if (!core.wanted.records.has(app.name)) core.apps.delete(app.name);
    throw error;
  }
  return { apiVersion: 1, app: appView(core, app) };
};

/** The app to be started: a new one, or the stopped one of that name and script, with what is asked for now. Throws COVET_ERR_APP_EXISTS, COVET_ERR_APP_LIMIT. */
function claim(core: SupervisorCore, config: AppConfig, env: Record<string, string>): App {
  const known = core.apps.get(config.name);
  if (known === undefined) {
    if (core.apps.size >= APPS_MAX) throw new CovetError('COVET_ERR_APP_LIMIT', { max: APPS_MAX });
    return core.add({ config, env, isWanted: true, isDeleting: false, lastGeneration: 0, live: 0, generations: [] });
  }
  const isSame = resolve(config.cwd, config.script) === resolve(known.config.cwd, known.config.script);
  if (known.plan.phase !== 'stopped' || !isSame || known.isPreparing) {
    throw new CovetError('COVET_ERR_APP_EXISTS', { app: config.name, status: known.status, advice: advice(known) });
  }
  known.change({ config, env });
  return known;
}

export const startStopped: Handler<'startStopped'> = async ({ core, progress }, { app: name }) => {
  const app = core.appToRun(name);
  if (app.plan.phase !== 'stopped' || app.isPreparing)
    throw new CovetError('COVET_ERR_APP_EXISTS', { app: name, status: app.status, advice: advice(app) });
  progress(`starting ${app.wanted} ${app.wanted === 1 ? 'worker' : 'workers'} of ${app.name}`);
  requireRoom(app);
  requireLimits(core, app.config);
  await start(app);
  return { apiVersion: 1, app: appView(core, app) };
};

/** Throws COVET_ERR_DESCRIPTORS. An app that names no address listens on one as a rule. */
function requireRoom({ name, wanted, config }: App): void {
  requireDescriptors(name, wanted, descriptorsOf(wanted, Math.max(1, config.listen.length)), readDescriptorGrant());
}

/** Throws COVET_ERR_CGROUP. A host that gives less later on, at a boot, runs it without, which `doctor` tells: down it would serve nobody. */
function requireLimits({ cgroups }: SupervisorCore, config: AppConfig): void {
  const missing = cgroups.missing(config);
  if (missing !== null) throw new CovetError('COVET_ERR_CGROUP', { app: config.name, field: missing.field, why: missing.why });
}

function advice({ name, plan }: App): string {
  const again = plan.phase === 'stopped' ? `\`covet-pm start ${name}\` runs it again` : `\`covet-pm reload ${name}\` brings new code in`;
  return `${again}; \`covet-pm delete ${name}\` forgets it; \`--name\` makes a second one.`;
}
