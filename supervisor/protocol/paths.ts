/**
 * Where everything lies, from the environment alone: COVET_HOME, else systemd's directories, else root's or the user's own.
 * Pure, and without a dependency: the CLI's fast path uses it.
 */
import { resolve } from 'node:path';

export interface Paths {
  /** What names this supervisor in messages. */
  readonly home: string;
  readonly run: string;
  readonly state: string;
  readonly logs: string;
  readonly control: string;
  readonly lock: string;
  readonly wanted: string;
  readonly supervisorLog: string;
  /** Copies of covet-pm that supervisors run from. */
  readonly versions: string;
}

/** sockaddr_un.sun_path less its end (unix(7)). */
export const SOCKET_PATH_BYTES_MAX = 107;

/** All paths of a supervisor. `env` is process.env, `uid` the caller's. */
export function pathsOf(env: Readonly<Record<string, string | undefined>>, uid: number): Paths {
  const { COVET_HOME: covetHome, RUNTIME_DIRECTORY: runtime, STATE_DIRECTORY: state, LOGS_DIRECTORY: logs } = env;
  if (covetHome !== undefined && covetHome !== '') {
    const home = resolve(covetHome);
    return under(home, `${home}/run`, `${home}/state`, `${home}/logs`);
  }
  if (runtime !== undefined && state !== undefined && logs !== undefined) return under(state, runtime, state, logs);
  if (uid === 0) return under('/var/lib/covet-pm', '/run/covet-pm', '/var/lib/covet-pm', '/var/log/covet-pm');
  const userState = `${env['XDG_STATE_HOME'] ?? `${env['HOME'] ?? '/tmp'}/.local/state`}/covet-pm`;
  const run = env['XDG_RUNTIME_DIR'] === undefined ? `${userState}/run` : `${env['XDG_RUNTIME_DIR']}/covet-pm`;
  return under(userState, run, userState, `${userState}/logs`);
}

function under(home: string, run: string, state: string, logs: string): Paths {
  return {
    home,
    run,
    state,
    logs,
    control: `${run}/control.sock`,
    lock: `${run}/covet-init.lock`,
    wanted: `${state}/wanted.json`,
    supervisorLog: `${logs}/supervisor.log`,
    versions: `${home}/versions`,
  };
}
