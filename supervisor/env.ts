/**
 * The outside world as one object: clock, timers, randomness, native calls, paths. Whatever decides or acts takes it as an argument,
 * so that a test can pass its own; nothing in the supervisor reads process.env or Date by itself.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { native, type Native } from '../native/index.ts';
import { pathsOf, type Paths } from './protocol/paths.ts';
import { logFormatOf, type LogFormat } from './own-words.ts';
import type { Ms } from './protocol/units.ts';
import { VERSION } from './protocol/version.ts';

export interface Timer {
  cancel(): void;
}

export interface Env {
  /** CLOCK_MONOTONIC, milliseconds: the same for every process until the machine starts anew. */
  nowMs(): Ms;
  wallClock(): Date;
  /** From 0 up to 1. */
  random(): number;
  after(ms: Ms, run: () => void): Timer;
  readonly native: Native;
  readonly paths: Paths;
  /** The home goes with its supervisor (state/temporary-homes.ts). */
  readonly isHomeTemporary: boolean;
  readonly uid: number;
  /** The node that runs the supervisor, and its apps unless they name another. */
  readonly node: string;
  readonly version: string;
  /** Of a foreground's stdout and stderr. */
  readonly logFormat: LogFormat;
  /**
   * Switches that take a mechanism away, so that a test can show that it is what keeps the promise: no-flip, no-drain, no-hand-over,
   * no-stand-in, no-trial, no-adoption, no-safe-mode, no-cgroups. And `moved-clock`: the wall clock is off by as many milliseconds as
   * CLOCK_FILE in the home says.
   */
  readonly faults: ReadonlySet<string>;
  /** A moment at which a test may have this process die, by the fault `die@<point>`, or stop to be killed together with others, by `stop@<point>`. */
  reach(point: string): void;
}

/** A test writes it, to move the wall clock of a supervisor that runs. */
export const CLOCK_FILE = 'clock-off-ms';

export function realEnv(variables: NodeJS.ProcessEnv = process.env): Env {
  const faults = new Set((variables['COVET_TEST_FAULT'] ?? '').split(',').filter(Boolean));
  const paths = pathsOf(variables, process.getuid!());
  return {
    nowMs: () => Number(process.hrtime.bigint()) / 1e6,
    wallClock: faults.has('moved-clock') ? () => movedClock(join(paths.home, CLOCK_FILE)) : () => new Date(),
    random: Math.random,
    after(ms, run) {
      const timer = setTimeout(run, ms);
      return { cancel: () => clearTimeout(timer) };
    },
    native: native(),
    paths,
    isHomeTemporary: variables['COVET_RUN_TEMP'] === '1',
    uid: process.getuid!(),
    node: process.execPath,
    version: VERSION,
    logFormat: logFormatOf(variables),
    faults,
    reach(point) {
      if (faults.has(`die@${point}`)) process.kill(process.pid, 'SIGKILL');
      if (faults.has(`stop@${point}`)) process.kill(process.pid, 'SIGSTOP');
    },
  };
}

function movedClock(file: string): Date {
  try {
    return new Date(Date.now() + Number(readFileSync(file, 'utf8')));
  } catch {
    return new Date(); // not moved yet
  }
}
