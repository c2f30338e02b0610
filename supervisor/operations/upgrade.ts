/** upgrade: this supervisor ends for one of another copy, which adopts what runs. The caller sees from `ping` whether that one serves. */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { packageRoot } from '../../native/index.ts';
import { doing } from '../apps/status.ts';
import type { InitClient } from '../init/init-client.ts';
import { CovetError } from '../protocol/errors.ts';
import type { Handler } from './handlers.ts';

export const upgrade: Handler<'upgrade'> = async ({ core, progress }, { folder, node }) => {
  core.requireAlive();
  const program = join(folder, 'dist', 'supervisor.mjs');
  // Only what was placed in this home: nobody else may write there.
  if (!existsSync(program) || dirname(realpathSync(folder)) !== realpathSync(core.env.paths.versions))
    throw new CovetError('COVET_ERR_UPGRADE', { reason: `${folder} is not a version in ${core.env.paths.versions}` });
  if (!existsSync(node)) throw new CovetError('COVET_ERR_UPGRADE', { reason: `${node} does not exist` });
  const busy = [...core.apps.values()].find(({ plan, isPreparing }) => isPreparing || !['stopped', 'running'].includes(plan.phase));
  if (busy !== undefined) throw new CovetError('COVET_ERR_APP_BUSY', { app: busy.name, doing: doing(busy.plan), verb: 'upgrade' });
  progress(`handing over to ${folder}`);
  await ask(
    core.init,
    'check',
    { path: join(folder, 'prebuilds', `linux-${process.arch}`, 'covet-init') },
    'its covet-init cannot take over',
  );
  await ask(core.init, 'program', { arg0: node, arg1: program }, 'covet-init refuses it');
  return { apiVersion: 1, from: packageRoot(), to: folder };
};

async function ask(init: InitClient, verb: string, fields: Readonly<Record<string, string>>, reason: string): Promise<void> {
  try {
    await init.request(verb, fields);
  } catch (error) {
    throw new CovetError('COVET_ERR_UPGRADE', { reason: `${reason} (${(error as Error).message})` }, { cause: error });
  }
}
