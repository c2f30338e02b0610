/** What these tests need of the system beyond Node: a temp folder, a real pipe (Node's own "pipes" are sockets), the open descriptors. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../native/index.ts';

/** Long enough for a machine that does ten other things. */
export const DEADLINE_MS = 60_000;

export function fixture(name: string): string {
  return join(packageRoot(), 'test', 'fixtures', 'native', name);
}

/** A folder that is gone at the end of the test. */
export function temporaryFolder(t: { after(clean: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'covet-native-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface Pipe {
  readonly read: number;
  readonly write: number;
}

let pipes = 0;

/** Both ends of a new pipe, the read end non-blocking. By a FIFO: its file is gone before this returns. */
export function makePipe(folder: string): Pipe {
  const path = join(folder, `pipe-${++pipes}`);
  execFileSync('mkfifo', [path]);
  const read = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const write = openSync(path, constants.O_WRONLY);
  rmSync(path);
  return { read, write };
}

export function closeAll(...fds: readonly number[]): void {
  for (const fd of fds) closeSync(fd);
}

/** What each open descriptor is, without the one that looks. */
export function openFds(): Map<number, string> {
  const open = new Map<number, string>();
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      open.set(Number(name), readlinkSync(`/proc/self/fd/${name}`));
    } catch {
      // readdir's own descriptor, closed since
    }
  }
  return open;
}

export function isCloexec(fd: number): boolean {
  const flags = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
  return (Number.parseInt(flags, 8) & 0o2000000) !== 0;
}

/** Asserts with the system error's code and syscall. */
export function systemError(code: string, syscall?: string): (error: unknown) => boolean {
  return (error) => {
    const got = error as NodeJS.ErrnoException;
    if (got.code !== code || (syscall !== undefined && got.syscall !== syscall)) throw error;
    return typeof got.errno === 'number' && got.errno < 0 && got.message.startsWith(`${code}: `);
  };
}
