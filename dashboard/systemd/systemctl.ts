/** systemctl and its kin, as the caller. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CovetError } from '../../supervisor/protocol/errors.ts';
import type { Paths } from '../../supervisor/protocol/paths.ts';
import { quoted, type Scope } from './unit.ts';

const DEADLINE_MS = 120_000;

/** sd_booted(3). */
export const isBooted = (): boolean => existsSync('/run/systemd/system');

/** Where a unit of the administrator, or of the user, lies. */
export function unitFolder(scope: Scope): string {
  if (scope === 'system') return '/etc/systemd/system';
  const config = process.env['XDG_CONFIG_HOME'] ?? join(process.env['HOME'] ?? '/', '.config');
  return join(config, 'systemd', 'user');
}

const MARK = '# Written by `covet-pm startup`';

export function isOurs(path: string): boolean {
  return readFileSync(path, 'utf8').startsWith(MARK);
}

/** The unit that runs this home, if `startup` wrote one: then nobody else should start its supervisor. */
export function unitOfHome({ lock }: Paths): { readonly scope: Scope; readonly name: string } | null {
  if (!isBooted()) return null;
  const scope = process.getuid!() === 0 ? 'system' : 'user';
  const folder = unitFolder(scope);
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.service')) : [];
  const name = names.find((each) => {
    const path = join(folder, each);
    return isReadableFile(path) && isOurs(path) && readFileSync(path, 'utf8').includes(` --lock ${quoted(lock)} `);
  });
  return name === undefined ? null : { scope, name };
}

/** Not a link to /dev/null, as of a masked unit, nor one to nowhere. */
function isReadableFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** Runs systemctl and gives its output. Throws COVET_ERR_SYSTEMD with what it said. */
export function systemctl(scope: Scope, ...args: readonly string[]): string {
  const words = scope === 'user' ? ['--user', ...args] : [...args];
  const { status, stdout, stderr, error } = spawnSync('systemctl', words, { encoding: 'utf8', timeout: DEADLINE_MS });
  if (status === 0) return stdout;
  const reason = error?.message ?? (stderr.trim() || `exit code ${status}`);
  throw new CovetError('COVET_ERR_SYSTEMD', { reason: `\`systemctl ${words.join(' ')}\`: ${reason}` });
}

/** As `systemctl --version` says it; 0 where there is none. */
export function systemdVersion(): number {
  const { stdout } = spawnSync('systemctl', ['--version'], { encoding: 'utf8', timeout: DEADLINE_MS });
  return Number(/^systemd (\d+)/.exec(stdout ?? '')?.[1] ?? 0);
}

/** systemd's own measure of how much a unit may do, 0 to 10; null where it cannot be had. systemd-analyze(1), `security`. */
export function exposureOf(path: string): string | null {
  const { status, stdout } = spawnSync('systemd-analyze', ['security', '--offline=true', '--no-pager', path], {
    encoding: 'utf8',
    timeout: DEADLINE_MS,
  });
  if (status !== 0) return null;
  return /Overall exposure level[^:]*: ([\d.]+ \w+)/.exec(stdout)?.[1] ?? null;
}
