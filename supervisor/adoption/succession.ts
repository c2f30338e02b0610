/**
 * covet-init was killed: its supervisor becomes covet-init, by execve in its own process, and that one starts the next supervisor, which adopts.
 * Only so can there be a covet-init that is related to the workers at all, and only so is nothing closed in between. The workers serve on
 * throughout; whatever a client of the control socket had asked is answered by nobody.
 */
import { constants } from 'node:os';
import { binary } from '../../native/index.ts';
import { encodeState, untoldOutputs } from '../init/state.ts';
import type { SupervisorCore } from '../supervisor.ts';
import { endUnreported } from './unreported.ts';

/** What covet-init reads what it holds from: a descriptor's name, for whoever looks at /proc. */
export const STATE_FILE = 'covet-state';
/** Between two tries: what a host is short of it may have again. */
const AGAIN_MS = 1_000;

/** Comes back only when it failed, and then nothing has changed: the workers serve, but none can be started. It is tried again until it is done. */
export function becomeInit(core: SupervisorCore, told = ''): void {
  if (told === '') core.logs.say('supervisor', 'covet-init was killed: this process takes its place');
  try {
    execInit(core);
  } catch (error) {
    const { message } = error as Error;
    if (message !== told) core.logs.say('supervisor', `covet-init cannot be followed yet: ${message}. The workers serve on unsupervised.`);
    core.env.after(AGAIN_MS, () => becomeInit(core, message));
  }
}

function execInit({ env, held, init, isStopping, notes, registry, workers, notices }: SupervisorCore): void {
  const records = [
    ...notes.records(),
    ...registry.all().flatMap((listener) => listener.records()),
    ...notices.records(),
    ...workers.records(),
    // Killed while this supervisor was taking over.
    ...(held?.records() ?? []),
  ];
  endUnreported(env.native, untoldOutputs(records));
  // The end of everything that had begun, whoever asked for it, is gone on with.
  const { text, fds } = encodeState(records, isStopping ? constants.signals.SIGTERM : 0);
  // In memory: a disk that is full must not be what ends it.
  const state = env.native.memoryFile(STATE_FILE, text);
  const path = binary('covet-init');
  const options = [
    '--state',
    String(state),
    ...(init.lock === '' ? [] : ['--lock', init.lock]),
    ...(init.log === '' ? [] : ['--log', init.log]),
  ];
  const variables = Object.entries(process.env).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]));
  try {
    env.native.execve(path, [path, ...options, '--', process.execPath, process.argv[1]!], variables, [...fds, state]);
  } finally {
    env.native.closeFd(state);
  }
}
