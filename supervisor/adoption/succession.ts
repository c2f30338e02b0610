/**
 * covet-init was killed: its supervisor becomes covet-init, by execve in its own process, and that one starts the next supervisor, which adopts.
 * Only so can there be a covet-init that is related to the workers at all, and only so is nothing closed in between. The workers serve on
 * throughout; whatever a client of the control socket had asked is answered by nobody.
 */
import { openSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { binary } from '../../native/index.ts';
import { encodeState } from '../init/state.ts';
import type { SupervisorCore } from '../supervisor.ts';

/** Comes back only when it failed, and then nothing has changed: the workers serve, but none can be started. */
export function becomeInit(core: SupervisorCore): void {
  try {
    execInit(core);
  } catch (error) {
    core.logs.say(
      'supervisor',
      `covet-init was killed and cannot be followed: ${(error as Error).message}. The workers serve on unsupervised.`,
    );
  }
}

function execInit({ env, init, notes, registry, workers, notices, logs }: SupervisorCore): void {
  logs.say('supervisor', 'covet-init was killed: this process takes its place');
  const records = [
    ...notes.records(),
    ...registry.all().flatMap((listener) => listener.records()),
    ...notices.records(),
    ...workers.records(),
  ];
  const { text, fds } = encodeState(records);
  const state = writeUnlinked(join(env.paths.run, `state-${process.pid}`), text);
  const path = binary('covet-init');
  const options = [
    '--state',
    String(state),
    ...(init.lock === '' ? [] : ['--lock', init.lock]),
    ...(init.log === '' ? [] : ['--log', init.log]),
  ];
  const variables = Object.entries(process.env).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]));
  env.native.execve(path, [path, ...options, '--', process.execPath, process.argv[1]!], variables, [...fds, state]);
}

/** A file that only its descriptor leads to. */
export function writeUnlinked(path: string, text: string): number {
  const fd = openSync(path, 'w+', 0o600);
  unlinkSync(path);
  // Whole or not at all: what is half written would be all that the next covet-init knows.
  writeFileSync(fd, text);
  return fd;
}
