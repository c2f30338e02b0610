/**
 * The outside world as one object: clock, timers, randomness, native calls, paths. Whatever decides or acts takes it as an argument,
 * so that a test can pass its own; nothing in the supervisor reads process.env or Date by itself.
 */
import { native, type Native } from '../native/index.ts';
import { pathsOf, type Paths } from './protocol/paths.ts';
import type { Ms } from './protocol/units.ts';

export interface Timer {
  cancel(): void;
}

export interface Env {
  /** Monotonic, milliseconds. */
  nowMs(): Ms;
  wallClock(): Date;
  /** From 0 up to 1. */
  random(): number;
  after(ms: Ms, run: () => void): Timer;
  readonly native: Native;
  readonly paths: Paths;
  readonly uid: number;
  /** The node that runs the supervisor, and its apps unless they name another. */
  readonly node: string;
  readonly version: string;
  /** Switches that take a mechanism away, so that a test can show that it is what keeps the promise: no-flip, no-drain, no-hand-over. */
  readonly faults: ReadonlySet<string>;
}

declare const COVET_VERSION: string;

export function realEnv(variables: NodeJS.ProcessEnv = process.env): Env {
  return {
    nowMs: () => performance.now(),
    wallClock: () => new Date(),
    random: Math.random,
    after(ms, run) {
      const timer = setTimeout(run, ms);
      return { cancel: () => clearTimeout(timer) };
    },
    native: native(),
    paths: pathsOf(variables, process.getuid!()),
    uid: process.getuid!(),
    node: process.execPath,
    version: COVET_VERSION,
    faults: new Set((variables['COVET_TEST_FAULT'] ?? '').split(',').filter(Boolean)),
  };
}
