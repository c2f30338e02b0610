/**
 * How a command ends that did not do what was asked: one sentence on stderr (or `{error}` on stdout with `--json`), and the exit
 * code of the error table. The one place that turns an error into an exit code.
 */
import { CovetError } from '../../supervisor/protocol/errors.ts';
import type { RpcFailure } from '../../supervisor/protocol/rpc.ts';
import { paint } from './print/style.ts';
import { visible } from './print/visible.ts';
import { messageStyle, printJson, say } from './terminal.ts';

/** Ctrl-C, as a shell reports it. */
export const EXIT_INTERRUPTED = 128 + 2;

export interface FailureOptions {
  readonly json?: boolean | undefined;
  readonly noColour?: boolean | undefined;
  /** Of `run`, whose stderr has nothing else. */
  readonly asLogLine?: boolean | undefined;
}

/** Says what went wrong and gives the exit code. */
export function fail(error: unknown, { json = false, noColour = false, asLogLine = false }: FailureOptions): number {
  const known = error instanceof CovetError ? error : internal(error);
  if (asLogLine) {
    const line = { time: new Date().toISOString(), app: null, slot: null, stream: 'covet', message: known.message };
    say(`${JSON.stringify(line)}\n`);
    return known.exitCode;
  }
  if (json) {
    const failure = known.cause as Partial<RpcFailure> | undefined;
    try {
      printJson({
        apiVersion: 1,
        error: { code: known.code, message: known.message, details: known.details },
        result: failure?.data?.result,
      });
    } catch (unwritable) {
      return fail(unwritable, { noColour });
    }
  } else {
    sayError(known.message, noColour);
  }
  return known.exitCode;
}

/** One sentence, and what it rests on in lines of its own. */
export function sayError(message: string, noColour: boolean): void {
  const style = messageStyle(noColour);
  const [first = '', ...more] = message.split('\n');
  say(`${paint(style, 'red', 'error')} ${[visible(style, first), ...more.map((line) => `  ${visible(style, line)}`)].join('\n')}\n`);
}

/** A fault of ours: the stack is part of the sentence, where COVET_DEBUG asks for it. */
function internal(error: unknown): CovetError {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return new CovetError(
    'COVET_ERR_INTERNAL',
    { reason: process.env['COVET_DEBUG'] === undefined ? message : (stack ?? message) },
    { cause: error },
  );
}
