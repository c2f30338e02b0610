/**
 * This process's own terminal: what it is, and writing to it. Data goes to stdout, messages to stderr.
 *
 * Writes are fs.writeSync: process.stdout costs 3 ms and 1 MB that a `list` does not have, and loses what is unwritten at
 * process.exit(). A pipe whose reader is slow answers EAGAIN when it is non-blocking; one whose reader left ends us quietly; a full disk
 * behind stdout is an error like others.
 */
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { CovetError } from '../../supervisor/protocol/errors.ts';
import type { Style } from './print/style.ts';

const STDOUT = 1;
const STDERR = 2;
/** As a shell reports a process that SIGPIPE ended. */
const EXIT_PIPE = 128 + 13;
const EAGAIN_PAUSE_MS = 5;

export const print = (text: string): void => write(STDOUT, text);
export const say = (text: string): void => write(STDERR, text);

export function printJson(value: unknown): void {
  print(`${JSON.stringify(value, null, isatty(STDOUT) ? 2 : undefined)}\n`);
}

/** What stdout is; `--no-color` beats FORCE_COLOR beats NO_COLOR beats what the terminal says of itself. */
export function terminalStyle(noColour: boolean): Style {
  return styleOf(STDOUT, noColour);
}

export function messageStyle(noColour: boolean): Style {
  return styleOf(STDERR, noColour);
}

function styleOf(fd: number, noColour: boolean): Style {
  const isTty = isatty(fd);
  return { isTty, isColoured: !noColour && wantsColour(isTty), columns: isTty ? columnsOf(fd) : Infinity };
}

/** https://no-color.org and https://force-color.org: set and not empty counts. */
function wantsColour(isTty: boolean): boolean {
  const { FORCE_COLOR: force, NO_COLOR: no, TERM: term } = process.env;
  if (force !== undefined && force !== '') return force !== '0' && force !== 'false';
  return (no === undefined || no === '') && isTty && term !== 'dumb';
}

/** Only a real terminal pays for the stream that knows its size. */
function columnsOf(fd: number): number {
  const stream = fd === STDOUT ? process.stdout : process.stderr;
  return stream.columns || Number(process.env['COLUMNS']) || 80;
}

function write(fd: number, text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') process.exit(EXIT_PIPE);
      if (code !== 'EAGAIN') {
        if (fd === STDERR) return; // there is nobody to tell
        throw new CovetError('COVET_ERR_STDOUT', { reason: (error as Error).message }, { cause: error });
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, EAGAIN_PAUSE_MS);
    }
  }
}
