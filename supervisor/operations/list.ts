/** ping and list: what lives, at a glance. */
import { packageRoot } from '../../native/index.ts';
import { CONTROL_VERSION } from '../protocol/rpc.ts';
import type { Handler } from './handlers.ts';
import { listView, refreshSamples } from './views.ts';

export const ping: Handler<'ping'> = async ({ core }) => ({
  apiVersion: 1,
  version: core.env.version,
  control: CONTROL_VERSION,
  init: { pid: core.init.pid, path: core.init.path },
  supervisor: { pid: process.pid },
  folder: packageRoot(),
});

export const list: Handler<'list'> = async ({ core }) => {
  await refreshSamples(core, core.apps.values());
  return listView(core);
};
