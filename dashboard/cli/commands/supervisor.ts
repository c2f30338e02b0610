/** `kill` and `resurrect`: the supervisor's own end and return. */
import type { Command } from 'commander';
import type { Client } from '../../client.ts';
import { callerPaths } from '../../connection.ts';
import { endInit, ensureSupervisor, processGone } from '../../launch.ts';
import { findLeft } from '../../../supervisor/protocol/left-workers.ts';
import { CovetError, EXIT } from '../../../supervisor/protocol/errors.ts';
import { OPERATIONS } from '../../../supervisor/protocol/operations.ts';
import { sayError } from '../failure.ts';
import { printList, warnOfTrouble } from '../print/list.ts';
import { withProgress } from '../progress.ts';
import { print, printJson, say, terminalStyle } from '../terminal.ts';
import { command, type Invocation, type Runner } from './command.ts';
import { addDeadline, perform, withClient } from './operation.ts';

export interface SupervisorOptions {
  readonly deadlineMs: number;
}

/** covet-init follows the supervisor at once; it is given this long so that a `start` right after finds neither. */
const INIT_EXIT_DEADLINE_MS = 5_000;
/** It gives its workers 5 s between SIGTERM and SIGKILL (native/init/init.cc). */
const INIT_END_DEADLINE_MS = 15_000;

export function killCommand(invocation: Invocation, run: Runner<SupervisorOptions> = runKill): Command {
  return addDeadline(command('kill', OPERATIONS.kill.summary)).action(({ deadline }: { deadline: number }) =>
    run({ deadlineMs: deadline }, invocation),
  );
}

export function resurrectCommand(invocation: Invocation, run: Runner<SupervisorOptions> = runResurrect): Command {
  return addDeadline(command('resurrect', OPERATIONS.resurrect.summary)).action(({ deadline }: { deadline: number }) =>
    run({ deadlineMs: deadline }, invocation),
  );
}

async function runKill({ deadlineMs }: SupervisorOptions, invocation: Invocation): Promise<void> {
  const kill = async (client: Client): Promise<void> => {
    const { init } = await client.ping();
    await perform(client, 'kill', {}, invocation, deadlineMs);
    await client.ended();
    await processGone(init.pid, INIT_EXIT_DEADLINE_MS);
  };
  try {
    await withClient(kill);
  } catch (error) {
    if (!(error instanceof CovetError)) throw error;
    const isAbsent = error.code === 'COVET_ERR_SUPERVISOR_ABSENT';
    /* Workers that a killed covet-init left are taken back, to end as any others. */
    if (isAbsent && findLeft(callerPaths()) !== null) return withClient(kill, ensureSupervisor);
    /* What `kill` wants is so already. */
    if (isAbsent) return killed({ apps: 0 }, 'No supervisor runs.', invocation);
    if (error.code !== 'COVET_ERR_SUPERVISOR_DOWN') throw error;
    await endInit(callerPaths(), Number(error.details['pid']), INIT_END_DEADLINE_MS);
    killed(
      { apps: null },
      'covet-init, whose supervisor did not answer, and its workers ended. `covet-pm resurrect` runs them again.',
      invocation,
    );
  }
}

/** There was no supervisor to say it. `apps` null: nobody counted them. */
function killed(result: { readonly apps: 0 | null }, text: string, { json, quiet }: Invocation): void {
  if (json) printJson({ apiVersion: 1, ...result });
  else if (!quiet) say(`${text}\n`);
}

async function runResurrect({ deadlineMs }: SupervisorOptions, { json, quiet, noColour }: Invocation): Promise<void> {
  await withClient(async (client) => {
    const view = await withProgress('resurrect', quiet, (onProgress) => client.resurrect({}, { onProgress, deadlineMs }));
    if (view.failed.length > 0) process.exitCode = EXIT.failed;
    if (json) return printJson(view);
    warnOfTrouble(view);
    if (!quiet) print(printList(view, terminalStyle(noColour)));
    for (const { reason } of view.failed) sayError(reason, noColour);
  }, ensureSupervisor);
}
