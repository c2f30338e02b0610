/**
 * What stderr is told by covet-pm itself, and with `run --log-format json` the form of every line: one JSON object, the app's lines and
 * our own alike. An app's log line has its time and slot before it there (`logs.timestamps`, `logs.slots`). docs/containers.md
 */
import { fstatSync, writeSync } from 'node:fs';
import type { Env } from './env.ts';
import type { AppConfig } from './protocol/config.ts';

export type LogFormat = 'text' | 'json';

interface JsonLine {
  readonly time: string;
  readonly app: string | null;
  /** null where it is not known, or no worker said it. */
  readonly slot: number | null;
  readonly stream: 'out' | 'err' | 'covet';
  readonly message: string;
}

type Speaker = Pick<Env, 'logFormat' | 'wallClock'>;

/** A line of a log, as LogFile writes it with both. */
const LABELLED = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\d+) (.*)$/s;

/** `run` puts it there, for covet-init too. */
export function logFormatOf(variables: NodeJS.ProcessEnv): LogFormat {
  return variables['COVET_LOG_FORMAT'] === 'json' ? 'json' : 'text';
}

export function say(env: Speaker, text: string): void {
  put(ownLine(env, text));
}

/** Of an app in particular: where stderr is a log file, with the time. */
export function sayOf(env: Speaker, app: string, text: string): void {
  const line = env.logFormat === 'json' ? ownLine(env, text, app) : `${env.wallClock().toISOString()} ${app}: ${text}`;
  put(line);
}

const STDERR = 2;
/** Lines that a full disk had no room for, since the last that it had. */
let missing = 0;
/** The last that it had some room for ends in its middle. */
let isTorn = false;

/**
 * Where stderr is a file, Node's own stream of it is not used: an error, of a disk that is full, would end the process, or the stream for good.
 * Nobody can be told of it but whoever reads the file later.
 */
function put(line: string): void {
  try {
    if (!fstatSync(STDERR).isFile()) return void process.stderr.write(`${line}\n`);
    const before = missing === 0 ? '' : `${isTorn ? '\n' : ''}covet-pm: ${missing} lines are missing here: they could not be written\n`;
    const text = Buffer.from(`${before}${line}\n`);
    const written = writeSync(STDERR, text);
    isTorn = written < text.length && (written > 0 || isTorn);
    missing = written < text.length ? missing + 1 : 0;
  } catch {
    missing++;
  }
}

export function ownLine(env: Speaker, text: string, app: string | null = null): string {
  if (env.logFormat === 'text') return `covet-pm: ${text}`;
  return json({ time: env.wallClock().toISOString(), app, slot: null, stream: 'covet', message: text });
}

export function appLine(env: Speaker, app: string, stream: 'out' | 'err', line: string): string {
  if (env.logFormat === 'text') return line;
  // A part of a line that is longer than a megabyte has none.
  const [, time = env.wallClock().toISOString(), slot, message = line] = LABELLED.exec(line) ?? [];
  return json({ time, app, slot: slot === undefined ? null : Number(slot), stream, message });
}

/** As the app wrote it. */
export function withoutLabels(line: string, { timestamps, slots }: AppConfig['logs']): string {
  const said = timestamps ? line.replace(/^\S{24} /, '') : line;
  return slots ? said.replace(/^\d+ /, '') : said;
}

/** What Node itself would print of this process, a warning or the end by an error, becomes a line like ours. */
export function sayForNode(env: Speaker): void {
  process.removeAllListeners('warning');
  process.on('warning', (warning) => say(env, String(warning.stack)));
  process.on('uncaughtException', (error) => {
    say(env, `the supervisor ends by an error: ${error.stack}`);
    process.exit(1);
  });
}

function json(line: JsonLine): string {
  return JSON.stringify(line);
}
