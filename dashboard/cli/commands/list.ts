/** `list` and `jlist` with all their names. Without a supervisor both show an empty list and exit 3: never do they start one. */
import type { Command } from 'commander';
import { CovetError } from '../../../supervisor/protocol/errors.ts';
import { OPERATIONS, type ListView } from '../../../supervisor/protocol/operations.ts';
import { jlist } from '../print/jlist.ts';
import { EMPTY_LIST, printList, warnOfTrouble } from '../print/list.ts';
import { print, printJson, say, terminalStyle } from '../terminal.ts';
import { command, type Invocation, type NoOptions, type Runner } from './command.ts';
import { READ_DEADLINE_MS, withClient } from './operation.ts';

export interface ListOptions {
  readonly workers: boolean;
}

export function listCommand(invocation: Invocation, run: Runner<ListOptions> = runList): Command {
  return command('list', OPERATIONS.list.summary)
    .aliases(['ls', 'l', 'ps', 'status'])
    .option('--workers', 'A row for each worker too.', false)
    .action(({ workers }: ListOptions) => run({ workers }, invocation));
}

export function jlistCommand(invocation: Invocation, run: Runner<NoOptions> = runJlist): Command {
  return command('jlist', "The workers as JSON, in the shape of PM2's jlist.").action(() => run({}, invocation));
}

async function runList({ workers }: ListOptions, { json, quiet, noColour }: Invocation): Promise<void> {
  const absence = await orEmpty((view) => {
    if (json) return printJson(view);
    warnOfTrouble(view);
    print(printList(view, terminalStyle(noColour), workers));
  });
  if (absence !== null && !quiet) say(`${absence}\n`);
}

async function runJlist(): Promise<void> {
  await orEmpty((view) => print(`${JSON.stringify(jlist(view, Date.now()))}\n`));
}

/** Answers with the sentence that says that there is no supervisor, where there is none. */
async function orEmpty(show: (view: ListView | typeof EMPTY_LIST) => void): Promise<string | null> {
  try {
    show(await withClient((client) => client.list({}, { deadlineMs: READ_DEADLINE_MS })));
    return null;
  } catch (error) {
    if (!(error instanceof CovetError) || error.code !== 'COVET_ERR_SUPERVISOR_ABSENT') throw error;
    show(EMPTY_LIST);
    process.exitCode = error.exitCode;
    return error.message;
  }
}
