/** `kill` and `resurrect`: the supervisor's own end and return. */
import type { Command } from 'commander';
import { ensureSupervisor, processGone } from '../../launch.ts';
import { CovetError } from '../../../supervisor/protocol/errors.ts';
import { OPERATIONS } from '../../../supervisor/protocol/operations.ts';
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
  try {
    await withClient(async (client) => {
      const { init } = await client.ping();
      await perform(client, 'kill', {}, invocation, deadlineMs);
      await client.ended();
      await processGone(init.pid, INIT_EXIT_DEADLINE_MS);
    });
  } catch (error) {
    /* What `kill` wants is so already. */
    if (!(error instanceof CovetError) || error.code !== 'COVET_ERR_SUPERVISOR_ABSENT') throw error;
    if (invocation.json) printJson({ apiVersion: 1, apps: 0 });
    else if (!invocation.quiet) say('No supervisor runs.\n');
  }
}

async function runResurrect({ deadlineMs }: SupervisorOptions, { json, quiet, noColour }: Invocation): Promise<void> {
  await withClient(async (client) => {
    const view = await withProgress('resurrect', quiet, (onProgress) => client.resurrect({}, { onProgress, deadlineMs }));
    if (json) return printJson(view);
    warnOfTrouble(view);
    if (!quiet) print(printList(view, terminalStyle(noColour)));
  }, ensureSupervisor);
}
