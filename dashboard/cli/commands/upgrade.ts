/** `upgrade`: the supervisor, then covet-init, of another version in the place of those that run. Nothing that runs is touched. */
import type { Command } from 'commander';
import { realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { packageRoot } from '../../../native/index.ts';
import { CovetError } from '../../../supervisor/protocol/errors.ts';
import { OPERATIONS, type PingView } from '../../../supervisor/protocol/operations.ts';
import { connect, type Client } from '../../client.ts';
import { callerPaths } from '../../connection.ts';
import { placeVersion, previousVersion, versionOf, withVersions } from '../../versions.ts';
import { withProgress } from '../progress.ts';
import { print, printJson } from '../terminal.ts';
import { command, type Invocation, type Runner } from './command.ts';
import { withClient } from './operation.ts';

export interface UpgradeOptions {
  readonly to?: string;
  readonly back: boolean;
}

/** covet-init gives the new supervisor 30 s to be ready before the one before it goes on, and its own successor 5 s. */
const SWITCH_DEADLINE_MS = 45_000;
const LOOK_MS = 50;

export function upgradeCommand(invocation: Invocation, run: Runner<UpgradeOptions> = runUpgrade): Command {
  return command('upgrade', OPERATIONS.upgrade.summary)
    .alias('update')
    .option('--to <path>', 'The package to run from; by default the one this command belongs to.')
    .option('--back', 'Return to the version before this one.', false)
    .action((options: UpgradeOptions) => run(options, invocation));
}

async function runUpgrade({ to, back }: UpgradeOptions, { json, quiet }: Invocation): Promise<void> {
  if (to !== undefined && back) throw new CovetError('COVET_ERR_CONFIG_CONFLICT', { reason: '`--to` and `--back` exclude each other.' });
  const paths = callerPaths();
  // Where no supervisor runs there may be no home either.
  await ping();
  const { before, now, folder } = await withVersions(paths, () =>
    change(back ? () => previousVersion(paths) : () => placeVersion(paths, realpathSync(resolve(to ?? packageRoot()))), quiet),
  );
  if (json) printJson({ apiVersion: 1, from: { version: before.version, folder: before.folder }, to: { version: now.version, folder } });
  else if (!quiet)
    print(`The supervisor is ${now.version} now, from ${folder}. \`covet-pm upgrade --back\` returns to ${before.version}.\n`);
}

interface Change {
  readonly before: PingView;
  readonly now: PingView;
  readonly folder: string;
}

async function change(place: () => string, quiet: boolean): Promise<Change> {
  const before = await ping();
  const folder = place();
  const now = await withProgress('upgrade', quiet, async (onProgress) => {
    await withClient((client) => client.upgrade({ folder, node: process.execPath }, { onProgress }), unheard);
    return switched(before, folder);
  });
  return { before, now, folder };
}

/** That the two are of different versions is what this command is about. */
const unheard = (): Promise<Client> => connect();
const ping = (): Promise<PingView> => withClient((client) => client.ping(), unheard);

/** Resolves when both supervisor and covet-init are of that copy. Throws COVET_ERR_UPGRADE when they are not: then the ones before go on. */
async function switched(before: PingView, folder: string): Promise<PingView> {
  const init = join(folder, 'prebuilds', `linux-${process.arch}`, 'covet-init');
  const until = performance.now() + SWITCH_DEADLINE_MS;
  let now = before;
  while (performance.now() < until) {
    now = await connect().then(
      async (client) => client.ping().finally(() => client.close()),
      () => now,
    );
    const isAnother = now.supervisor.pid !== before.supervisor.pid;
    if (isAnother && now.folder !== folder) throw failure(`the supervisor of ${versionOf(folder)} did not become ready`, before);
    if (isAnother && now.init.path === init) return now;
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
  throw failure(now.folder === folder ? `covet-init of ${versionOf(folder)} did not take over` : 'no supervisor answers', now);
}

function failure(reason: string, { version }: PingView): CovetError {
  return new CovetError('COVET_ERR_UPGRADE', { reason: `${reason}; ${version} goes on, and supervisor.log says why` });
}
