/**
 * What every command shares: how its commander object is made, what the common flags came to, and how commander's own complaints
 * become errors of our table. A command is a file: options in, `run` injected, so that parsing is tested without running.
 */
import { Command, type CommanderError, type Option } from 'commander';
import { CovetError, nearMatch } from '../../../supervisor/protocol/errors.ts';
import { plural } from '../print/units.ts';
import { print, say } from '../terminal.ts';

/** What was on the command line for every command alike. */
export interface Invocation {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly noColour: boolean;
  /** After `--`. */
  readonly appArgs: readonly string[];
}

export type NoOptions = object;

/** Does what was asked, prints, and throws what went wrong. */
export type Runner<Options> = (options: Options, invocation: Invocation) => Promise<void>;

export function command(name: string, summary: string): Command {
  const made = new Command(name).description(summary).helpOption('-h, --help', 'Show this.');
  made.configureHelp({ optionDescription: optionText });
  made.configureOutput({ writeOut: print, writeErr: say, outputError: () => undefined });
  made.exitOverride((error) => {
    throw usageError(error, made);
  });
  return made;
}

/** Commander's own says of every switch that it is off, and of no deadline that it is 0. */
function optionText({ description, defaultValue, defaultValueDescription }: Option): string {
  const fallback = defaultValueDescription ?? (defaultValue ? String(defaultValue) : '');
  return fallback === '' ? description : `${description} (default: ${fallback})`;
}

/** Thrown where commander has already said everything: help and version. */
export class Said extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super();
    this.exitCode = exitCode;
  }
}

/** commander's fault → ours. The word it complains of stands in quotes in its message. */
function usageError(error: CommanderError, at: Command): Error {
  const got = /'([^']*)'/.exec(error.message)?.[1] ?? '';
  const usage = `covet-pm ${at.name()} ${at.usage()}`;
  switch (error.code) {
    case 'commander.helpDisplayed':
    case 'commander.version':
      return new Said(0);
    case 'commander.help':
      return new Said(error.exitCode === 0 ? 0 : 2);
    case 'commander.unknownCommand':
      return unknownCommand(got, at);
    case 'commander.unknownOption':
      return new CovetError('COVET_ERR_USAGE_FLAG', { got, command: at.name(), near: nearMatch(got, flagsOf(at)) });
    case 'commander.optionMissingArgument':
      return new CovetError('COVET_ERR_USAGE_VALUE', {
        option: /--[\w-]+/.exec(got)?.[0] ?? got,
        expected: 'followed by a value',
        got: 'none',
      });
    case 'commander.missingArgument':
      return new CovetError('COVET_ERR_USAGE_MISSING', { expected: `\`<${got}>\``, usage });
    case 'commander.excessArguments':
      return new CovetError('COVET_ERR_USAGE_MISSING', {
        expected: `at most ${plural(at.registeredArguments.length, 'word')} after \`${at.name()}\``,
        usage,
      });
    default:
      return new CovetError('COVET_ERR_USAGE_MISSING', { expected: error.message.replace(/^error: /, ''), usage });
  }
}

export function unknownCommand(got: string, { commands }: Command): CovetError {
  const known = commands.flatMap((each) => [each.name(), ...each.aliases()]);
  return new CovetError('COVET_ERR_USAGE_COMMAND', { got, near: nearMatch(got, known) });
}

function flagsOf(at: Command): string[] {
  return [...COMMON_FLAGS, ...at.options.flatMap(({ short, long }) => [short, long]).filter((flag) => flag !== undefined && flag !== null)];
}

/** Taken out of the command line wherever they stand, before commander sees it. */
export const COMMON_FLAGS = ['--json', '-q', '--quiet', '--no-color'] as const;
