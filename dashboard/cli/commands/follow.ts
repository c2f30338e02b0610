/** `logs` and `events`: what was, and with `-f` what comes, until Ctrl-C. */
import type { Command } from 'commander';
import type { Subscription } from '../../subscription.ts';
import { CovetError } from '../../../supervisor/protocol/errors.ts';
import { OPERATIONS, type OperationInput } from '../../../supervisor/protocol/operations.ts';
import { printEvent } from '../print/events.ts';
import { LogPrinter } from '../print/logs.ts';
import { print, say, terminalStyle } from '../terminal.ts';
import { command, type Invocation, type Runner } from './command.ts';
import { withClient } from './operation.ts';

export type LogsOptions = OperationInput<'logs'> & { readonly raw: boolean };
export type EventsOptions = OperationInput<'events'>;

const LINES_MAX = 100_000;
const EVENTS_MAX = 10_000;

export function logsCommand(invocation: Invocation, run: Runner<LogsOptions> = runLogs): Command {
  return command('logs', OPERATIONS.logs.summary)
    .alias('log')
    .argument('[app]', 'By default all, each line behind its name.')
    .option('-f, --follow', 'Go on as lines come.', false)
    .option('--lines <count>', 'How many of the last lines.', upTo('--lines', LINES_MAX), 15)
    .option('--out', 'Only what was written to stdout.', false)
    .option('--err', 'Only what was written to stderr.', false)
    .option('--raw', 'Let terminal escapes of the app through.', false)
    .action((app: string | undefined, flags: { follow: boolean; lines: number; out: boolean; err: boolean; raw: boolean }) => {
      const streams = flags.out === flags.err ? 'both' : flags.out ? 'out' : 'err';
      return run({ ...(app === undefined ? {} : { app }), streams, lines: flags.lines, follow: flags.follow, raw: flags.raw }, invocation);
    });
}

export function eventsCommand(invocation: Invocation, run: Runner<EventsOptions> = runEvents): Command {
  return command('events', OPERATIONS.events.summary)
    .argument('[app]')
    .option('-f, --follow', 'Go on as events come.', false)
    .option('--last <count>', 'How many of the last events.', upTo('--last', EVENTS_MAX), 20)
    .action((app: string | undefined, { follow, last }: { follow: boolean; last: number }) =>
      run({ ...(app === undefined ? {} : { app }), follow, last }, invocation),
    );
}

async function runLogs({ raw, ...input }: LogsOptions, { json, noColour }: Invocation): Promise<void> {
  const style = terminalStyle(noColour);
  const printer = new LogPrinter(raw ? { ...style, isTty: false } : style, input.app === undefined);
  await withClient((client) => printAll(client.logs(input), (item) => (json ? JSON.stringify(item) + '\n' : printer.print(item)), 'lines'));
}

async function runEvents(input: EventsOptions, { json, noColour }: Invocation): Promise<void> {
  const style = terminalStyle(noColour);
  await withClient((client) =>
    printAll(client.events(input), (event) => `${json ? JSON.stringify(event) : printEvent(event, style)}\n`, 'events'),
  );
}

async function printAll<T>(items: Subscription<T>, toText: (item: T) => string, noun: string): Promise<void> {
  for await (const item of items) print(toText(item));
  if (items.dropped > 0) say(`${items.dropped} ${noun} were left out: this terminal did not keep up.\n`);
}

function upTo(option: string, max: number): (text: string) => number {
  return (text) => {
    if (/^\d+$/.test(text) && Number(text) <= max) return Number(text);
    throw new CovetError('COVET_ERR_USAGE_VALUE', { option, expected: `an integer from 0 to ${max}`, got: `\`${text}\`` });
  };
}
