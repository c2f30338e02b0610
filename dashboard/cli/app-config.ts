/**
 * What `start` and `run` were told (script, flags, `--config`, arguments after `--`) → a complete config, checked as far as it can
 * be without a supervisor: so that a wrong word never starts a supervisor. The order: file, then flags, then `--set`.
 */
import { accessSync, constants, existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, extname, isAbsolute, join, resolve } from 'node:path';
import { checkConflicts } from '../../supervisor/protocol/config-conflicts.ts';
import type { AppConfig } from '../../supervisor/protocol/config.ts';
import { CovetError } from '../../supervisor/protocol/errors.ts';
import { APP_FLAGS, setField } from './app-flags.ts';
import { checkConfig } from './config-check.ts';

export interface AppOptions {
  /** How the command is written, for who wrote it otherwise. */
  readonly usage: string;
  readonly script: string | undefined;
  /** After `--`. */
  readonly args: readonly string[];
  /** `--config`: a JSON file with fields of docs/config.md. */
  readonly configFile?: string | undefined;
  /** By field, as APP_FLAGS read them. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** `--set`. */
  readonly settings?: Readonly<Record<string, unknown>> | undefined;
}

/** Throws COVET_ERR_APP_SCRIPT, COVET_ERR_CONFIG_* or COVET_ERR_USAGE_*. */
export function appConfig(options: AppOptions, callerCwd: string): AppConfig {
  const input: Record<string, unknown> = options.configFile === undefined ? {} : readConfigFile(pathFrom(callerCwd, options.configFile));
  for (const { field } of APP_FLAGS) {
    if (options.fields[field] !== undefined) setField(input, field, merged(input[field], options.fields[field]));
  }
  for (const [field, value] of Object.entries(options.settings ?? {})) setField(input, field, value);
  if (options.script !== undefined) input['script'] = options.script;
  if (options.args.length > 0) input['args'] = options.args;
  const { script } = input;
  if (script === undefined) {
    throw new CovetError('COVET_ERR_USAGE_MISSING', { expected: 'a script', usage: options.usage });
  }
  input['cwd'] = pathFrom(callerCwd, typeof input['cwd'] === 'string' ? input['cwd'] : '.');
  if (typeof script === 'string') input['name'] ??= defaultName(script);
  const config = checkConfig(input);
  // A supervisor that is started from here is the caller's own.
  checkConflicts(config, process.getuid!());
  checkFolder(config.cwd);
  return { ...config, script: checkedScript(config) };
}

/**
 * The caller's folder under the name by which the shell came there: a `current` that is switched later leads the next reload to the new release.
 * Throws COVET_ERR_CONFIG_FIELD when the folder was deleted under the caller's shell.
 */
export function callerFolder(): string {
  try {
    const folder = process.cwd();
    const { PWD: named = '' } = process.env;
    return isAbsolute(named) && isSameFolder(named, folder) ? resolve(named) : folder;
  } catch (error) {
    const details = { field: 'cwd', expected: 'a folder you may enter', got: 'one that was deleted; cd to another' };
    throw new CovetError('COVET_ERR_CONFIG_FIELD', details, { cause: error });
  }
}

/** `path` as the caller means it: `..` out of a linked folder leads to the parent of where it points, as the kernel takes it. */
function pathFrom(folder: string, path: string): string {
  return resolve(path.split('/').includes('..') ? realpathSync(folder) : folder, path);
}

function isSameFolder(one: string, other: string): boolean {
  try {
    return realpathSync(one) === realpathSync(other);
  } catch {
    return false; // PWD need not be true
  }
}

/** `--env` adds to the file's variables; any other flag replaces the file's field. */
function merged(before: unknown, value: unknown): unknown {
  const areRecords = [before, value].every((x) => typeof x === 'object' && x !== null && !Array.isArray(x));
  return areRecords ? { ...(before as object), ...(value as object) } : value;
}

function readConfigFile(path: string): Record<string, unknown> {
  let config: unknown;
  try {
    config = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new CovetError(
      'COVET_ERR_USAGE_VALUE',
      { option: '--config', expected: 'a JSON file', got: `${path} (${(error as Error).message})` },
      { cause: error },
    );
  }
  if (typeof config === 'object' && config !== null && !Array.isArray(config)) return { ...config };
  throw new CovetError('COVET_ERR_USAGE_VALUE', { option: '--config', expected: "a JSON object with an app's fields", got: path });
}

/** `server.js` → `server`; what a name may not have becomes `-`. */
function defaultName(script: string): string {
  const name = basename(script, extname(script))
    .replace(/[^a-zA-Z0-9._@-]/g, '-')
    .replace(/^[^a-zA-Z0-9]+/, '');
  return name.slice(0, 64) || 'app';
}

function checkFolder(cwd: string): void {
  const reason = failureOf(() => {
    if (!statSync(cwd).isDirectory()) throw new Error('it is not a folder');
    accessSync(cwd, constants.X_OK);
  });
  if (reason !== null)
    throw new CovetError('COVET_ERR_CONFIG_FIELD', { field: 'cwd', expected: 'a folder you may enter', got: `${cwd} (${reason})` });
}

/** The script's absolute path; a bare program's name (interpreter `none`, or `npm` and the like) is left to PATH. */
function checkedScript({ script, cwd, interpreter }: AppConfig): string {
  if (interpreter === 'none' && !script.includes('/')) return script;
  const path = pathFrom(cwd, script);
  if (interpreter === undefined && isOfPath(script) && !existsSync(path)) return script;
  let isFile = false;
  const reason = failureOf(() => {
    const stat = statSync(path);
    if (stat.isDirectory()) throw new Error('it is a directory');
    if (!stat.isFile()) throw new Error('it is not a file');
    isFile = true;
    if (interpreter === 'none' && (stat.mode & 0o111) === 0) throw new Error('it is not executable');
    accessSync(path, interpreter === 'none' ? constants.X_OK : constants.R_OK);
  });
  if (reason === null) return path;
  const right = interpreter === 'none' ? 'execute it (`chmod +x`), or name what runs it with `--interpreter`' : 'read it';
  const advice = isFile ? `Allow uid ${process.getuid!()} to ${right}.` : 'Name the file that is to run, or an app of `covet-pm list`.';
  throw new CovetError('COVET_ERR_APP_SCRIPT', { path, reason, advice });
}

/** Without an extension, which would name an interpreter, a word that is no file here may be a program. */
function isOfPath(script: string): boolean {
  if (script.includes('/') || extname(script) !== '') return false;
  return (process.env['PATH'] ?? '').split(':').some((folder) => isAbsolute(folder) && isProgram(join(folder, script)));
}

function isProgram(path: string): boolean {
  return failureOf(() => accessSync(path, constants.X_OK)) === null && statSync(path).isFile();
}

/** Why `check` failed, as a person says it; null when it did not. */
function failureOf(check: () => void): string | null {
  try {
    check();
    return null;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file';
    return code === 'EACCES' ? 'permission denied' : message;
  }
}
