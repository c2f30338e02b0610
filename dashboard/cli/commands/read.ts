/** `describe`, `health` and `ping`: ask once, print. */
import type { Command } from 'commander';
import { EXIT } from '../../../supervisor/protocol/errors.ts';
import { OPERATIONS } from '../../../supervisor/protocol/operations.ts';
import { printDescribe } from '../print/describe.ts';
import { printHealth } from '../print/health.ts';
import { printPing } from '../print/ping.ts';
import { print, printJson, terminalStyle } from '../terminal.ts';
import { command, type Invocation, type NoOptions, type Runner } from './command.ts';
import { READ_DEADLINE_MS, withClient } from './operation.ts';

export interface DescribeOptions {
  readonly app: string;
  readonly showEnv: boolean;
}

export interface HealthOptions {
  readonly app: string | undefined;
}

export function describeCommand(invocation: Invocation, run: Runner<DescribeOptions> = runDescribe): Command {
  return command('describe', OPERATIONS.describe.summary)
    .aliases(['desc', 'info', 'show'])
    .argument('<app>')
    .option('--show-env', "The environment's values too, not only its names.", false)
    .action((app: string, { showEnv }: DescribeOptions) => run({ app, showEnv }, invocation));
}

/** Its exit code is 0 or 1, which is all that a health check may say. */
export function healthCommand(invocation: Invocation, run: Runner<HealthOptions> = runHealth): Command {
  return command('health', OPERATIONS.health.summary)
    .argument('[app]', 'By default every app that is wanted.')
    .action((app: string | undefined) => run({ app: app === 'all' ? undefined : app }, invocation));
}

export function pingCommand(invocation: Invocation, run: Runner<NoOptions> = runPing): Command {
  return command('ping', OPERATIONS.ping.summary).action(() => run({}, invocation));
}

async function runDescribe(options: DescribeOptions, { json, noColour }: Invocation): Promise<void> {
  const view = await withClient((client) => client.describe(options, { deadlineMs: READ_DEADLINE_MS }));
  if (json) printJson(view);
  else print(printDescribe(view, terminalStyle(noColour)));
}

async function runHealth({ app }: HealthOptions, { json, quiet, noColour }: Invocation): Promise<void> {
  const view = await withClient((client) => client.health(app === undefined ? {} : { app }, { deadlineMs: READ_DEADLINE_MS }));
  if (json) printJson(view);
  else if (!quiet) print(printHealth(view, terminalStyle(noColour)));
  if (!view.isHealthy) process.exitCode = EXIT.failed;
}

async function runPing(_: NoOptions, { json, quiet }: Invocation): Promise<void> {
  const view = await withClient((client) => client.ping({}, { deadlineMs: READ_DEADLINE_MS }));
  if (json) printJson(view);
  else if (!quiet) print(printPing(view));
}
