/** `stop`, `restart`, `reload`, `delete` and `scale`: one app, one operation, one sentence about what it came to. */
import type { Command } from 'commander';
import { CovetError } from '../../../supervisor/protocol/errors.ts';
import { OPERATIONS } from '../../../supervisor/protocol/operations.ts';
import { SLOTS_MAX } from '../../../supervisor/protocol/units.ts';
import type { Client } from '../../client.ts';
import { fail } from '../failure.ts';
import { AT_REST } from '../print/outcomes.ts';
import { command, type Invocation, type Runner } from './command.ts';
import { addDeadline, callerEnv, perform, READ_DEADLINE_MS, withClient } from './operation.ts';

export interface ChangeOptions {
  readonly verb: 'stop' | 'delete' | 'restart' | 'reload';
  readonly app: string;
  readonly updateEnv: boolean;
  readonly deadlineMs: number;
}

export interface ScaleOptions {
  readonly app: string;
  readonly instances: number | 'max';
  readonly deadlineMs: number;
}

export function changeCommands(invocation: Invocation, run: Runner<ChangeOptions> = runChange): Command[] {
  return (['stop', 'restart', 'reload', 'delete'] as const).map((verb) => {
    const made = addDeadline(command(verb, OPERATIONS[verb].summary)).argument('<app>', 'Its name, or all: each in turn.');
    if (verb === 'delete') made.alias('del');
    if (verb === 'restart' || verb === 'reload') made.option('--update-env', "The caller's environment replaces the app's.", false);
    return made.action((app: string, { deadline, updateEnv = false }: { deadline: number; updateEnv?: boolean }) =>
      run({ verb, app, updateEnv, deadlineMs: deadline }, invocation),
    );
  });
}

export function scaleCommand(invocation: Invocation, run: Runner<ScaleOptions> = runScale): Command {
  return addDeadline(command('scale', OPERATIONS.scale.summary))
    .argument('<app>')
    .argument('<count>', `An integer from 1 to ${SLOTS_MAX}, or max: one per CPU this host grants.`, workers)
    .action((app: string, instances: number | 'max', { deadline }: { deadline: number }) =>
      run({ app, instances, deadlineMs: deadline }, invocation),
    );
}

async function runChange(options: ChangeOptions, invocation: Invocation): Promise<void> {
  await withClient((client) => (options.app === 'all' ? changeAll(client, options, invocation) : change(client, options, invocation)));
}

function change(client: Client, { verb, app, updateEnv, deadlineMs }: ChangeOptions, invocation: Invocation): Promise<unknown> {
  return perform(client, verb, updateEnv ? { app, env: callerEnv() } : { app }, invocation, deadlineMs);
}

/** One after the other: a machine that reloads everything at once has twice the workers. What fails does not keep the rest from it. */
async function changeAll(client: Client, options: ChangeOptions, invocation: Invocation): Promise<void> {
  const { apps } = await client.list({}, { deadlineMs: READ_DEADLINE_MS });
  const failures: CovetError[] = [];
  for (const { name, status } of apps) {
    if (options.verb !== 'delete' && AT_REST.has(status)) continue;
    try {
      await change(client, { ...options, app: name }, invocation);
    } catch (error) {
      if (!(error instanceof CovetError)) throw error;
      fail(error, invocation);
      failures.push(error);
    }
  }
  if (failures.length > 0) process.exitCode = Math.max(...failures.map(({ exitCode }) => exitCode));
}

async function runScale({ app, instances, deadlineMs }: ScaleOptions, invocation: Invocation): Promise<void> {
  await withClient((client) => perform(client, 'scale', { app, instances }, invocation, deadlineMs));
}

function workers(text: string): number | 'max' {
  const count = Number(text);
  if (text === 'max') return text;
  if (/^\d+$/.test(text) && count >= 1 && count <= SLOTS_MAX) return count;
  throw new CovetError('COVET_ERR_USAGE_VALUE', {
    option: 'count',
    expected: `an integer from 1 to ${SLOTS_MAX} or "max"`,
    got: `\`${text}\``,
  });
}
