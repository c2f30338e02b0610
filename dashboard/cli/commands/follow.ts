/**
 * `logs` and `events`: what was, and with `-f` what comes, until Ctrl-C. A supervisor that dies or is upgraded is followed by the next one,
 * and so it is here: each line and event is shown once.
 */
import type { Command } from 'commander';
import { connect, type Client } from '../../client.ts';
import type { Subscription } from '../../subscription.ts';
import { CovetError } from '../../../supervisor/protocol/errors.ts';
import type { CovetEvent } from '../../../supervisor/protocol/events.ts';
import { OPERATIONS, type LogItem, type OperationInput } from '../../../supervisor/protocol/operations.ts';
import { tellOther } from '../other-version.ts';
import { printEvent } from '../print/events.ts';
import { LogPrinter } from '../print/logs.ts';
import { print, say, terminalStyle } from '../terminal.ts';
import { command, type Invocation, type Runner } from './command.ts';

export type LogsOptions = OperationInput<'logs'> & { readonly raw: boolean };
type LogPlace = NonNullable<LogsOptions['after']>[number];
export type EventsOptions = OperationInput<'events'>;

const LINES_MAX = 100_000;
const EVENTS_MAX = 10_000;
/** Of a stream that nothing was shown of yet, when following goes on: no more can have come to it between two supervisors. */
const LINES_AGAIN = 1_000;
/** covet-init's longest pause between two supervisors is 5 s; then it has to start. */
const AGAIN_DEADLINE_MS = 30_000;
const AGAIN_PAUSE_MS = 20;
/** A supervisor may die of what it is asked here: then it is not asked for ever. */
const SHORT_LIFE_MS = 1_000;
const SHORT_LIVES_MAX = 3;

export function logsCommand(invocation: Invocation, run: Runner<LogsOptions> = runLogs): Command {
  return command('logs', OPERATIONS.logs.summary)
    .alias('log')
    .argument('[app]', 'By default all, each line behind its name.')
    .option('-f, --follow', 'Keep printing lines as they come.', false)
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
    .option('-f, --follow', 'Keep printing events as they come.', false)
    .option('--last <count>', 'How many of the last events.', upTo('--last', EVENTS_MAX), 20)
    .action((app: string | undefined, { follow, last }: { follow: boolean; last: number }) =>
      run({ ...(app === undefined ? {} : { app }), follow, last }, invocation),
    );
}

async function runLogs({ raw, ...input }: LogsOptions, { json, noColour, quiet }: Invocation): Promise<void> {
  const style = terminalStyle(noColour);
  const printer = new LogPrinter(raw ? { ...style, isTty: false } : style, input.app === undefined);
  const { follow = false, lines = 0 } = input;
  const marks = new Map<string, LogPlace>();
  const note = ({ app, stream, mark }: LogItem): void => {
    if (mark !== undefined) marks.set(`${app} ${stream}`, { app, stream, mark });
  };
  const show = (item: LogItem): void => {
    note(item);
    const { app, stream, line } = item;
    print(json ? `${JSON.stringify({ app, stream, line })}\n` : printer.print({ app, stream, line }));
  };
  await following(follow, quiet, async (client, isAgain) => {
    const again = { lines: Math.max(lines, LINES_AGAIN), after: [...marks.values()] };
    const from = isAgain ? again : { lines: follow ? Math.max(lines, 1) : lines };
    // Of no lines one is asked for all the same, to know where it ends.
    const first = follow && lines === 0 && !isAgain ? (item: LogItem) => (item.isNew === true ? show(item) : note(item)) : show;
    await printAll(client.logs({ ...input, ...from }), first, 'lines');
  });
}

async function runEvents(input: EventsOptions, { json, noColour, quiet }: Invocation): Promise<void> {
  const style = terminalStyle(noColour);
  let [pid, seq] = [0, 0];
  await following(input.follow ?? false, quiet, async (client, isAgain) => {
    const { supervisor } = await client.ping();
    // Each supervisor counts from 1: of another one, everything is new.
    const seen = supervisor.pid === pid ? seq : 0;
    pid = supervisor.pid;
    const show = (event: CovetEvent): void => {
      if (event.seq <= seen) return;
      seq = event.seq;
      print(`${json ? JSON.stringify(event) : printEvent(event, style)}\n`);
    };
    await printAll(client.events(isAgain ? { ...input, last: EVENTS_MAX } : input), show, 'events');
  });
}

/** Runs `use` on a connection, and where it follows again on one to the next supervisor, whenever the connection is lost. */
async function following(isFollowing: boolean, quiet: boolean, use: (client: Client, isAgain: boolean) => Promise<void>): Promise<void> {
  let shortLives = 0;
  for (let isAgain = false; ; isAgain = true) {
    const begunMs = performance.now();
    try {
      const client = await connect({ onOther: tellOther, ...(isAgain ? { deadlineMs: AGAIN_DEADLINE_MS } : {}) });
      if (isAgain && !quiet) say('The supervisor was replaced; following the next one.\n');
      return await use(client, isAgain).finally(() => client.close());
    } catch (error) {
      shortLives = performance.now() - begunMs < SHORT_LIFE_MS ? shortLives + 1 : 0;
      const isLost = error instanceof CovetError && error.code === 'COVET_ERR_CONTROL_LOST';
      if (!isFollowing || !isLost || shortLives > SHORT_LIVES_MAX) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_PAUSE_MS));
  }
}

async function printAll<T>(items: Subscription<T>, show: (item: T) => void, noun: string): Promise<void> {
  let told = 0;
  const tellDropped = (): void => {
    if (items.dropped > told) say(`${items.dropped - told} ${noun} were left out: this terminal did not keep up.\n`);
    told = items.dropped;
  };
  for await (const item of items) {
    // Where they are missing, not at an end that Ctrl-C never comes to.
    tellDropped();
    show(item);
  }
  tellDropped();
}

function upTo(option: string, max: number): (text: string) => number {
  return (text) => {
    if (/^\d+$/.test(text) && Number(text) <= max) return Number(text);
    throw new CovetError('COVET_ERR_USAGE_VALUE', { option, expected: `an integer from 0 to ${max}`, got: `\`${text}\`` });
  };
}
