/**
 * `start <script>`: run an app, starting the supervisor where there is none. `start <name>`: run one that was stopped, as it was; flags
 * are refused there. Everything that can be wrong with the words is found before a supervisor is started.
 */
import { statSync } from 'node:fs';
import type { Command } from 'commander';
import type { Client } from '../../client.ts';
import { ensureSupervisor } from '../../launch.ts';
import { checkPin } from '../../../supervisor/protocol/config-conflicts.ts';
import { CovetError } from '../../../supervisor/protocol/errors.ts';
import { OPERATIONS } from '../../../supervisor/protocol/operations.ts';
import { appConfig, callerFolder, type AppOptions } from '../app-config.ts';
import { APP_FLAGS } from '../app-flags.ts';
import { addAppFlags, readAppFlags } from './app-options.ts';
import { command, type Invocation, type Runner } from './command.ts';
import { addDeadline, callerEnv, perform, READ_DEADLINE_MS, withClient } from './operation.ts';

export interface StartOptions extends AppOptions {
  readonly deadlineMs: number;
}

export function startCommand(invocation: Invocation, run: Runner<StartOptions> = runStart): Command {
  const made = addDeadline(addAppFlags(command('start', OPERATIONS.start.summary)))
    .argument('[script]', 'The file to run, or the name of a stopped app.')
    .usage('<script | name> [options] [-- arguments of the app]');
  return made.action((script: string | undefined, { deadline }: { deadline: number }) =>
    run({ ...readAppFlags(script, made, invocation), deadlineMs: deadline }, invocation),
  );
}

async function runStart(options: StartOptions, invocation: Invocation): Promise<void> {
  const app = await knownApp(options);
  if (app !== null) {
    await withClient(async (client) => {
      await refuseFlags(client, app, options);
      await perform(client, 'startStopped', { app }, invocation, options.deadlineMs);
    });
    return;
  }
  const config = appConfig(options, callerFolder());
  await withClient(
    (client) => perform(client, 'start', { config, env: callerEnv() }, invocation, options.deadlineMs),
    (connecting) => ensureSupervisor({ ...connecting, beforeStart: (cpus) => checkPin(config, cpus) }),
  );
}

/** The app that a lone word names, when it is not a file and a supervisor knows it. */
async function knownApp({ script, configFile }: StartOptions): Promise<string | null> {
  if (script === undefined || configFile !== undefined || statSync(script, { throwIfNoEntry: false })?.isFile()) return null;
  try {
    return await withClient(async (client) => {
      const { apps } = await client.list({}, { deadlineMs: READ_DEADLINE_MS });
      return apps.some(({ name }) => name === script) ? script : null;
    });
  } catch (error) {
    if (error instanceof CovetError && error.code === 'COVET_ERR_SUPERVISOR_ABSENT') return null;
    throw error;
  }
}

/** An app that is started by its name runs as it was; what else was asked for would be lost. Throws COVET_ERR_CONFIG_CONFLICT. */
async function refuseFlags(client: Client, app: string, { fields, settings, args }: StartOptions): Promise<void> {
  const given = [
    ...APP_FLAGS.filter(({ field }) => field in fields).map(({ flags }) => /--[\w-]+/.exec(flags)![0]),
    ...(settings === undefined ? [] : ['--set']),
    ...(args.length === 0 ? [] : ['--']),
  ].map((flag) => `\`${flag}\``);
  if (given.length === 0) return;
  const { config } = await client.describe({ app }, { deadlineMs: READ_DEADLINE_MS });
  const again = `\`covet-pm start ${String(config['script'])} --name ${app} …\` with all its options`;
  const changes = `\`covet-pm scale ${app} <count>\` and \`covet-pm restart ${app} --update-env\` change only that`;
  throw new CovetError('COVET_ERR_CONFIG_CONFLICT', {
    reason: `\`start ${app}\` runs the app as it was, without ${given.join(', ')}. To change it, ${again}; ${changes}.`,
  });
}
