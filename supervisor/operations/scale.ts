/** scale: more workers start, or the highest slots drain. */
import { scale } from '../apps/verbs.ts';
import { readCpuGrant } from '../host/cpu-grant.ts';
import { readDescriptorGrant } from '../host/descriptor-grant.ts';
import { descriptorsOf, requireDescriptors } from '../host/descriptor-policy.ts';
import { maxInstances } from '../host/pin-policy.ts';
import type { Handler } from './handlers.ts';
import { appView } from './views.ts';

export const scaleApp: Handler<'scale'> = async ({ core, progress }, { app: name, instances }) => {
  const app = core.appToRun(name);
  const wanted = instances === 'max' ? maxInstances(readCpuGrant(core.env.native)) : instances;
  const need = descriptorsOf(wanted - (app.live?.size ?? wanted), core.registry.of(name).length);
  if (need > 0) requireDescriptors(name, wanted, need, readDescriptorGrant());
  progress(`scaling ${name} to ${instances}`);
  await scale(app, instances);
  return { apiVersion: 1, app: appView(core, app) };
};
