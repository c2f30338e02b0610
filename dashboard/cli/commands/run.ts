/**
 * `run <script>`: the foreground. This process becomes covet-init by execve, with the same pid: a shell's Ctrl-C, a container's
 * SIGTERM and systemd's MAINPID all reach the one that drains. Logs go to stdout; the exit code is the app's.
 *
 * The config travels in COVET_RUN. Without a COVET_HOME the run has one of its own, which the supervisor removes at the end.
 */
import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { callerPaths } from '../../connection.ts';
import { prepareHome } from '../../home.ts';
import { connectIfThere, initCommand } from '../../launch.ts';
import { native } from '../../../native/index.ts';
import { checkPin } from '../../../supervisor/protocol/config-conflicts.ts';
import { CovetError, nativePart } from '../../../supervisor/protocol/errors.ts';
import { appConfig, callerFolder, type AppOptions } from '../app-config.ts';
import { addAppFlags, readAppFlags } from './app-options.ts';
import { callerEnv } from './operation.ts';
import { command, type Invocation, type Runner } from './command.ts';

/** MAX_ARG_STRLEN (execve(2)): one string of the environment. */
const ENV_STRING_BYTES_MAX = 131_071;
const TOO_LARGE = `Expected the config and environment of \`run\` to fit into ${ENV_STRING_BYTES_MAX} bytes. Unset large variables, or use \`start\`.`;
const STDIO = [0, 1, 2];

export interface RunOptions extends AppOptions {
  readonly logFormat: string;
}

export function runCommand(invocation: Invocation, run: Runner<RunOptions> = runRun): Command {
  const made = addAppFlags(command('run', 'The same as start, in the foreground: logs to stdout, SIGTERM and Ctrl-C drain and exit.'))
    .option('--log-format <format>', 'text, or json: every line an object with time, app, slot, stream and message.', 'text')
    .argument('[script]', 'The file to run.')
    .usage('<script> [options] [-- arguments of the app]');
  return made.action((script: string | undefined, { logFormat }: { logFormat: string }) =>
    run({ ...readAppFlags(script, made, invocation), logFormat }, invocation),
  );
}

async function runRun(options: RunOptions): Promise<void> {
  const isJson = options.logFormat === 'json';
  if (!isJson && options.logFormat !== 'text')
    throw new CovetError('COVET_ERR_USAGE_VALUE', { option: '--log-format', expected: 'text or json', got: `\`${options.logFormat}\`` });
  const asked = appConfig(options, callerFolder());
  checkPin(asked, nativePart(native).affinity(0));
  // In JSON each line has its time and slot; they are read back from the log.
  const config = isJson ? { ...asked, logs: { ...asked.logs, timestamps: true, slots: true } } : asked;
  const env = callerEnv();
  const own: Record<string, string> = { ...env, COVET_RUN: JSON.stringify({ config, env }), COVET_LOG_FORMAT: options.logFormat };
  if (Buffer.byteLength(`COVET_RUN=${own['COVET_RUN']}`) > ENV_STRING_BYTES_MAX) {
    throw new CovetError('COVET_ERR_CONFIG_CONFLICT', { reason: TOO_LARGE });
  }
  if (!env['COVET_HOME']) Object.assign(own, { COVET_HOME: temporaryHome(), COVET_RUN_TEMP: '1' });
  else await refuseSecond(env['COVET_HOME']);
  const paths = callerPaths(own['COVET_HOME']);
  prepareHome(paths);
  const [path, ...argv] = initCommand(paths, ['--once']);
  const variables = Object.entries(own).map(([key, value]) => `${key}=${value}`);
  native().execve(path, [path, ...argv], variables, STDIO);
}

/** Throws COVET_ERR_HOME_UNUSABLE, in a container that is read-only for one. */
function temporaryHome(): string {
  try {
    const home = mkdtempSync(join(tmpdir(), 'covet-run-'));
    // As of any home of root's: workers of other users pass through it.
    if (process.getuid!() === 0) chmodSync(home, 0o711);
    return home;
  } catch (error) {
    throw new CovetError('COVET_ERR_HOME_UNUSABLE', { home: tmpdir(), reason: (error as Error).message }, { cause: error });
  }
}

async function refuseSecond(home: string): Promise<void> {
  const client = await connectIfThere();
  if (client === null) return;
  client.close();
  throw new CovetError('COVET_ERR_SUPERVISOR_START', { reason: `one runs already for ${home}. Use \`start\`, or unset COVET_HOME.` });
}
