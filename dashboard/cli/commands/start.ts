/**
 * `start <script>`: run an app, starting the supervisor where there is none. `start <name>`: run one that was stopped, as it was.
 * Everything that can be wrong with the words is found before a supervisor is started.
 */
import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { ensureSupervisor } from '../../launch.ts';
import { CovetError } from '../../../supervisor/protocol/errors.ts';
import { OPERATIONS } from '../../../supervisor/protocol/operations.ts';
import { appConfig, callerFolder, type AppOptions } from '../app-config.ts';
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
    await withClient((client) => perform(client, 'startStopped', { app }, invocation, options.deadlineMs));
    return;
  }
  const config = appConfig(options, callerFolder());
  await withClient((client) => perform(client, 'start', { config, env: callerEnv() }, invocation, options.deadlineMs), ensureSupervisor);
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
