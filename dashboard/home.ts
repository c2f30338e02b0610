/**
 * The home's folders, made before a supervisor is started in them. A folder that belongs to another user, or that others may
 * write, could have its socket or its state replaced under us: it is refused, never repaired.
 */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { makeFolder } from '../supervisor/host/folders.ts';
import { CovetError } from '../supervisor/protocol/errors.ts';
import { SOCKET_PATH_BYTES_MAX, type Paths } from '../supervisor/protocol/paths.ts';

const WRITABLE_BY_OTHERS = 0o022;

/** Why no supervisor could be started in the home as it is; null also where there is none yet. Makes nothing. */
export function homeProblem({ home, run, state, logs }: Paths): string | null {
  for (const folder of new Set([home, run, state, logs])) {
    const reason = existsSync(folder) ? faultOf(folder) : null;
    if (reason !== null) return reason;
  }
  return null;
}

/** Throws COVET_ERR_HOME_PATH or COVET_ERR_HOME_UNUSABLE. */
export function prepareHome(paths: Paths): void {
  const bytes = Buffer.byteLength(paths.control);
  if (bytes > SOCKET_PATH_BYTES_MAX) throw new CovetError('COVET_ERR_HOME_PATH', { bytes, path: paths.control });
  for (const folder of new Set([paths.home, paths.run, paths.state, paths.logs])) {
    // Workers of other users, which only root can have, pass through root's home to the preload in versions/; what else lies there is closed to them.
    const reason = problemOf(folder, folder === paths.home && process.getuid!() === 0 ? 0o711 : 0o700);
    if (reason !== null) throw new CovetError('COVET_ERR_HOME_UNUSABLE', { home: paths.home, reason });
  }
}

function problemOf(folder: string, mode: number): string | null {
  try {
    makeFolder(folder, mode);
  } catch (error) {
    return `${folder}: ${(error as Error).message}`;
  }
  return faultOf(folder);
}

function faultOf(folder: string): string | null {
  try {
    const stat = statSync(folder);
    if (!stat.isDirectory()) return `${folder} is not a folder`;
    if (stat.uid !== process.getuid!()) return `${folder} belongs to uid ${stat.uid}, you are uid ${process.getuid!()}`;
    if ((stat.mode & WRITABLE_BY_OTHERS) !== 0)
      return `others may write ${folder} (mode ${(stat.mode & 0o7777).toString(8)}; \`chmod go-w ${folder}\`)`;
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    return `${folder}: ${(error as Error).message}`;
  }
}
