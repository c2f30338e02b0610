/**
 * Keeps supervisor.log within bounds. covet-init opened it, and both it and the supervisor have it as their stderr: it can be neither renamed
 * under them nor opened anew by one. So what is in it is copied to `.1` and it begins anew; both append, so their next line is its first. A
 * line that covet-init says between the two steps is lost.
 */
import { copyFileSync, fstatSync, ftruncateSync, statSync } from 'node:fs';
import type { Env } from './env.ts';
import { say } from './own-words.ts';

/** As an app's log file is by default. */
export const OWN_LOG_BYTES_MAX = 10 * 1_048_576;
const LOOK_MS = 60_000;
const STDERR = 2;

/** Looks now and once a minute; does nothing where stderr is no log file. */
export function boundOwnLog(env: Env): void {
  let wasTold = false;
  const look = (): void => {
    try {
      beginAnew(env.paths.supervisorLog, STDERR);
      wasTold = false;
    } catch (error) {
      if (!wasTold) say(env, `supervisor.log grows on: ${(error as Error).message}`);
      wasTold = true;
    }
  };
  look();
  setInterval(look, LOOK_MS).unref();
}

/** If `fd` is that file, and it is too long. Throws as copy_file_range(2), ftruncate(2). */
function beginAnew(path: string, fd: number): void {
  const [named, open] = [statSync(path, { throwIfNoEntry: false }), fstatSync(fd)];
  if (named?.ino !== open.ino || named.dev !== open.dev || open.size <= OWN_LOG_BYTES_MAX) return;
  copyFileSync(path, `${path}.1`);
  ftruncateSync(fd);
}
