/**
 * From an app's config to what is executed: program, arguments, and whether it is Node and so gets the preload. Resolved once a
 * generation, with real paths, so that a release directory that moves under `current` does not change a generation half-way.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, extname, isAbsolute, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { packageRoot } from '../../native/index.ts';
import type { AppConfig } from '../protocol/config.ts';
import { CovetError } from '../protocol/errors.ts';

export interface Launch {
  readonly file: string;
  /** Before the script's own arguments; the preload is added for Node. */
  readonly args: readonly string[];
  readonly cwd: string;
  readonly isNode: boolean;
  /** `22.18.0`; empty when it is not Node. */
  readonly nodeVersion: string;
  /** The script as it was on disk when the generation was made. */
  readonly fingerprint: string;
  readonly scriptPath: string;
}

const TYPESCRIPT = new Set(['.ts', '.mts', '.cts']);
const INTERPRETERS: Readonly<Record<string, string>> = {
  '.js': 'node',
  '.cjs': 'node',
  '.mjs': 'node',
  '.ts': 'node',
  '.mts': 'node',
  '.cts': 'node',
  '.py': 'python3',
  '.sh': 'bash',
  '.rb': 'ruby',
  '.pl': 'perl',
  '.php': 'php',
};
/** Options of node whose value may be the next word. */
const TAKES_A_WORD =
  /^(-r|-C|--(require|import|loader|experimental-loader|conditions|env-file|env-file-if-exists|title|inspect-port|icu-data-dir|openssl-config|max-http-header-size))$/;
/** node -p of a broken interpreter must not hold a start for ever. */
const INTERPRETER_TIMEOUT_MS = 10_000;

/** Throws COVET_ERR_APP_SCRIPT or COVET_ERR_APP_TYPESCRIPT. `ownNode` is the supervisor's. */
export async function resolveLaunch(config: AppConfig, ownNode: string): Promise<Launch> {
  const cwd = realPath(config.cwd);
  const plain = npmStart(config, cwd);
  if (plain !== null) return resolveLaunch({ ...config, ...plain }, ownNode);
  const extension = extname(config.script);
  const interpreter = config.interpreter ?? INTERPRETERS[extension] ?? 'none';
  if (interpreter === 'none') {
    const local = isAbsolute(config.script) ? config.script : join(cwd, config.script);
    // A bare name that is no file here is a program of PATH.
    const program = config.script.includes('/') || existsSync(local) ? realPath(local) : config.script;
    return {
      file: program,
      args: config.args,
      cwd,
      isNode: false,
      nodeVersion: '',
      fingerprint: program.includes('/') ? fingerprint(program) : '',
      scriptPath: program,
    };
  }
  const script = realPath(isAbsolute(config.script) ? config.script : join(cwd, config.script));
  if (!statSync(script).isFile())
    throw new CovetError('COVET_ERR_APP_SCRIPT', { path: script, reason: 'it is not a file', advice: 'Name the file that is to run.' });
  const common = { cwd, fingerprint: fingerprint(script), scriptPath: script };
  if (!isNodeProgram(interpreter))
    return { ...common, file: interpreter, args: [...config.nodeArgs, script, ...config.args], isNode: false, nodeVersion: '' };
  const file = interpreter === 'node' ? ownNode : interpreter;
  const node = await nodeFeatures(file, ownNode);
  const typescript = TYPESCRIPT.has(extension) && !node.stripsTypes ? ['--import', tsxOf(cwd, script, node.version)] : [];
  return { ...common, file, args: [...config.nodeArgs, ...typescript, script, ...config.args], isNode: true, nodeVersion: node.version };
}

/** What was on disk: a worker that starts on changed code is on trial (trials.ts). */
export function fingerprint(path: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(path);
    return `${ino}:${size}:${mtimeMs}`;
  } catch {
    return 'absent';
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'it does not exist' : `${code}`;
    const advice = `Put it where uid ${process.getuid!()} finds it, or start the app anew with another.`;
    throw new CovetError('COVET_ERR_APP_SCRIPT', { path, reason, advice }, { cause: error });
  }
}

function isNodeProgram(interpreter: string): boolean {
  return /^node(js)?$/.test(basename(interpreter));
}

async function nodeFeatures(file: string, ownNode: string): Promise<{ version: string; stripsTypes: boolean }> {
  if (file === ownNode)
    return { version: process.versions.node, stripsTypes: Boolean((process.features as { typescript?: unknown }).typescript) };
  try {
    const { stdout } = await promisify(execFile)(
      file,
      ['-p', 'JSON.stringify({version:process.versions.node,stripsTypes:Boolean(process.features.typescript)})'],
      { timeout: INTERPRETER_TIMEOUT_MS, env: {} },
    );
    return JSON.parse(stdout) as { version: string; stripsTypes: boolean };
  } catch (error) {
    const advice = 'Name a node that runs as `interpreter`.';
    throw new CovetError('COVET_ERR_APP_SCRIPT', { path: file, reason: 'it does not run as node', advice }, { cause: error });
  }
}

function tsxOf(cwd: string, script: string, node: string): string {
  for (const from of [script, join(cwd, 'package.json')]) {
    try {
      return pathToFileURL(createRequire(from).resolve('tsx')).href;
    } catch {
      // not there; the next place
    }
  }
  throw new CovetError('COVET_ERR_APP_TYPESCRIPT', { path: script, node, cwd });
}

/** `npm start` and the like, when package.json's script is one plain node command: run that, so that the worker is the app and not npm. */
function npmStart(config: AppConfig, cwd: string): Pick<AppConfig, 'script' | 'args' | 'nodeArgs' | 'interpreter'> | null {
  if (!['npm', 'pnpm', 'yarn'].includes(config.script)) return null;
  const [verb, ...rest] = config.args;
  const [key, ...more] = verb === 'run' || verb === 'run-script' ? rest : config.args;
  if (more.length > 0) return null; // for npm to judge what it hands on
  let command: unknown;
  try {
    command = (JSON.parse(readFileSync(join(cwd, 'package.json'), 'utf8')) as { scripts?: Record<string, unknown> }).scripts?.[key ?? ''];
  } catch {
    return null;
  }
  if (typeof command !== 'string' || /["'`$&|;<>()*?\\~#]/.test(command)) return null;
  const [program, ...words] = command.trim().split(/\s+/);
  if (program !== 'node') return null;
  const at = words.findIndex((word, index) => !word.startsWith('-') && !TAKES_A_WORD.test(words[index - 1] ?? ''));
  return at === -1 ? null : { script: words[at]!, args: words.slice(at + 1), nodeArgs: words.slice(0, at), interpreter: 'node' };
}

/** What a worker's Node is told before the script. */
export function preloadPath(): string {
  return join(packageRoot(), 'dist', 'preload.cjs');
}
