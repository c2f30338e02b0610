/** The way a command reaches the supervisor and shows what came of it: connect, ask with progress, print a sentence or JSON, hang up. */
import type { Command } from 'commander';
import { connect, type CallName, type Client, type ConnectOptions } from '../../client.ts';
import { CovetError } from '../../../supervisor/protocol/errors.ts';
import type { OperationInput, OperationResults } from '../../../supervisor/protocol/operations.ts';
import { tellOther } from '../other-version.ts';
import { OUTCOMES } from '../print/outcomes.ts';
import { withProgress } from '../progress.ts';
import { print, printJson } from '../terminal.ts';
import type { Invocation } from './command.ts';

/** A reading takes milliseconds; a supervisor that needs longer is stuck, which the user should hear. */
export const READ_DEADLINE_MS = 10_000;

/** Lends a connection to `use` and closes it after. */
export async function withClient<T>(
  use: (client: Client) => Promise<T>,
  open: (options: ConnectOptions) => Promise<Client> = connect,
): Promise<T> {
  const client = await open({ onOther: tellOther });
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** One changing operation from ask to printed outcome. `deadlineMs` 0: as long as it takes. */
export async function perform<N extends CallName & keyof typeof OUTCOMES>(
  client: Client,
  name: N,
  input: OperationInput<N>,
  invocation: Invocation,
  deadlineMs = 0,
): Promise<OperationResults[N]> {
  const result = await withProgress(sentence(name, input), invocation.quiet, (onProgress) =>
    client.call(name, input, { onProgress, deadlineMs }),
  );
  if (invocation.json) printJson(result);
  else if (!invocation.quiet) print(OUTCOMES[name](result as never));
  return result;
}

/** `--deadline`: how long the command waits for an operation that takes long. */
export function addDeadline(to: Command): Command {
  return to.option('--deadline <ms>', 'Stop waiting after this and exit 124; the operation goes on.', milliseconds, 0);
}

/** What the app inherits, less what COMPAT's faults taught the supervisor to deny. */
export function callerEnv(): Record<string, string> {
  return Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

function milliseconds(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new CovetError('COVET_ERR_USAGE_VALUE', { option: '--deadline', expected: 'milliseconds', got: `\`${text}\`` });
}

function sentence(name: string, input: unknown): string {
  const app =
    (input as { app?: string; config?: { name?: string } } | undefined)?.app ??
    (input as { config?: { name?: string } } | undefined)?.config?.name;
  return app === undefined ? name : `${name} ${app}`;
}
