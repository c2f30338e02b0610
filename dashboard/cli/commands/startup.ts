/** `startup` and `unstartup`: systemd runs covet-pm, and with it what was wanted, from the boot on. */
import type { Command } from 'commander';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { CovetError } from '../../../supervisor/protocol/errors.ts';
import { callerPaths } from '../../connection.ts';
import { prepareHome } from '../../home.ts';
import { connectIfThere, folderToRunFrom, supervisorEnv } from '../../launch.ts';
import { unreachable, type Need } from '../../systemd/reach.ts';
import { exposureOf, isBooted, isOurs, systemctl, systemdVersion, unitFolder } from '../../systemd/systemctl.ts';
import { unitText, type Scope } from '../../systemd/unit.ts';
import { readWantedApps, type WantedApps } from '../../systemd/wanted-apps.ts';
import { linkCurrent, withVersions } from '../../versions.ts';
import { print, printJson, say } from '../terminal.ts';
import { command, type Invocation, type Runner } from './command.ts';

export interface UnitOptions {
  readonly name: string;
  readonly scope: Scope;
}

export interface StartupOptions extends UnitOptions {
  readonly printOnly: boolean;
  readonly hardened: boolean;
}

interface UnitFlags {
  readonly name: string;
  readonly user: boolean;
  readonly system: boolean;
}

const UNIT_NAME = /^[A-Za-z0-9_.@-]{1,100}$/;
/** Where a version manager keeps a node, which goes when the user changes to another. */
const VERSION_MANAGER = /\/(\.nvm|\.fnm|fnm_multishells|\.volta|\.asdf|\.nodenv|\.n|mise)\//;

export function startupCommand(invocation: Invocation, run: Runner<StartupOptions> = runStartup): Command {
  return unitFlags(command('startup', 'Have systemd run covet-pm from boot, with every wanted app.'))
    .option('--print', 'Print the unit and change nothing.', false)
    .option('--hardened', 'Run in a sandbox, as a user of its own, after checking that every app can.', false)
    .action((flags: UnitFlags & { print: boolean; hardened: boolean }) =>
      run({ ...unitOptions(flags), printOnly: flags.print, hardened: flags.hardened }, invocation),
    );
}

export function unstartupCommand(invocation: Invocation, run: Runner<UnitOptions> = runUnstartup): Command {
  return unitFlags(command('unstartup', 'Undo `startup`; what runs keeps running until it is stopped.')).action((flags: UnitFlags) =>
    run(unitOptions(flags), invocation),
  );
}

function unitFlags(to: Command): Command {
  return to
    .option('--user', "A unit of the user's own manager; the default for any user but root.", false)
    .option('--system', 'A system unit; the default for root, and for root only.', false)
    .option('--name <unit>', 'The name of the unit; every further home needs one of its own.', 'covet-pm');
}

function unitOptions({ name, user, system }: UnitFlags): UnitOptions {
  if (user && system) throw new CovetError('COVET_ERR_CONFIG_CONFLICT', { reason: '`--user` and `--system` exclude each other.' });
  if (!UNIT_NAME.test(name))
    throw new CovetError('COVET_ERR_USAGE_VALUE', { option: '--name', expected: "a unit's name without its ending", got: `\`${name}\`` });
  const scope = user || (!system && process.getuid!() !== 0) ? 'user' : 'system';
  return { name, scope };
}

async function runStartup({ name, scope, printOnly, hardened }: StartupOptions, { json, quiet }: Invocation): Promise<void> {
  const text = await unit(scope, hardened);
  if (printOnly) {
    if (json) printJson({ apiVersion: 1, unit: `${name}.service`, scope, text, exposure: exposureOfText(name, text) });
    else print(text);
    return;
  }
  const path = join(unitFolder(scope), `${name}.service`);
  requireSystemd(scope, `\`covet-pm startup --print\` prints the unit.`);
  if (existsSync(path) && !isOurs(path))
    throw new CovetError('COVET_ERR_SYSTEMD', {
      reason: `${path} is there already and not of \`covet-pm startup\`: move it away, or give another --name`,
    });
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode: 0o644 });
  systemctl(scope, 'daemon-reload');
  systemctl(scope, 'enable', name);
  const isRunning = await supervisorRuns();
  if (!isRunning) systemctl(scope, 'start', name);
  const exposure = exposureOf(path);
  if (json) return printJson({ apiVersion: 1, unit: `${name}.service`, scope, path, exposure, started: !isRunning });
  if (quiet) return;
  const manager = scope === 'user' ? 'systemctl --user' : 'systemctl';
  print(`${path} is written and enabled.${exposure === null ? '' : ` Exposure: ${exposure} (systemd-analyze security).`}\n`);
  if (isRunning)
    say(`A supervisor runs already, which systemd did not start. To move there now: covet-pm kill && ${manager} start ${name}\n`);
  else print(`It runs: ${manager} status ${name}\n`);
  if (scope === 'user') say('It runs while you are logged in; from the boot on after: loginctl enable-linger\n');
}

async function runUnstartup({ name, scope }: UnitOptions, { json, quiet }: Invocation): Promise<void> {
  const path = join(unitFolder(scope), `${name}.service`);
  requireSystemd(scope, '');
  if (!existsSync(path) || !isOurs(path))
    throw new CovetError('COVET_ERR_SYSTEMD', { reason: `${path} ${existsSync(path) ? 'is not of `covet-pm startup`' : 'is not there'}` });
  systemctl(scope, 'disable', name);
  rmSync(path);
  systemctl(scope, 'daemon-reload');
  if (json) printJson({ apiVersion: 1, unit: `${name}.service`, scope, path });
  else if (!quiet) print(`${path} is removed. What runs goes on; \`covet-pm kill\` ends it.\n`);
}

/** The unit for this home, from what is known of its apps. Places the copy that it names. */
async function unit(scope: Scope, hardened: boolean): Promise<string> {
  if (scope === 'system' && process.getuid!() !== 0)
    throw new CovetError('COVET_ERR_SYSTEMD', { reason: 'a unit of the machine needs root: use sudo, or `--user`' });
  const paths = callerPaths();
  if (/["'\\$]/.test(paths.home)) {
    const reason = `systemd takes no quotes, backslashes and dollars in a program's path, got the home ${paths.home}: set COVET_HOME to another`;
    throw new CovetError('COVET_ERR_SYSTEMD', { reason });
  }
  const apps = readWantedApps(paths);
  if (hardened) requireReach(scope, apps);
  prepareHome(paths);
  const folder = await withVersions(paths, () => linkCurrent(paths, folderToRunFrom(paths)));
  if (VERSION_MANAGER.test(process.execPath))
    say(
      `The unit names ${process.execPath}, which belongs to a version manager: run \`covet-pm startup\` again after a change of version.\n`,
    );
  return unitText({
    scope,
    paths,
    hasOwnHome: (process.env['COVET_HOME'] ?? '') !== '',
    folder,
    systemd: systemdVersion(),
    node: process.execPath,
    arch: process.arch,
    env: unitEnv(),
    stopTimeoutMs: apps.stopTimeoutMs,
    hardened,
    writable: hardened ? [...new Set(apps.written.map(({ path }) => path))] : [],
    needsPrivilegedPorts: apps.needsPrivilegedPorts,
  });
}

/** As a supervisor that a command starts has it, less what only this session has. */
function unitEnv(): Record<string, string> {
  const { HOME: _home, USER: _user, LOGNAME: _logname, XDG_RUNTIME_DIR: _runtime, ...kept } = supervisorEnv();
  return Object.fromEntries(
    Object.entries(kept).filter(([name]) => !/^(RUNTIME|STATE|LOGS)_DIRECTORY$|^XDG_(SESSION|SEAT|VTNR)/.test(name)),
  );
}

/** Throws COVET_ERR_SYSTEMD naming each path of an app that the sandbox would not reach. */
function requireReach(scope: Scope, { needed, written, withUser }: WantedApps): void {
  const problems = [
    ...(scope === 'user' ? ['a user of its own can only be had from the machine: leave out `--user`'] : []),
    ...((process.env['COVET_HOME'] ?? '') === '' ? [] : ['its user owns only the folders that systemd makes: leave COVET_HOME unset']),
    ...withUser.map((app) => `${app}: it runs as a user of its own (\`uid\`), which takes root`),
    ...needed.flatMap((each) => problemOf(each, each.what === 'interpreter' ? 'run' : 'read')),
    ...problemOf({ app: 'covet-pm', what: 'node', path: process.execPath }, 'run'),
    ...written.flatMap((each) => problemOf(each, 'write')),
  ];
  if (problems.length > 0)
    throw new CovetError('COVET_ERR_SYSTEMD', {
      reason: ['a hardened unit would break what runs; nothing was changed:', ...problems].join('\n'),
    });
}

function problemOf({ app, what, path }: { readonly app: string; readonly what: string; readonly path: string }, need: Need): string[] {
  const why = unreachable(path, need);
  return why === null ? [] : [`${app}: its ${what} ${path} ${why}`];
}

function requireSystemd(scope: Scope, otherwise: string): void {
  if (!isBooted()) throw new CovetError('COVET_ERR_SYSTEMD', { reason: `systemd does not run here. ${otherwise}`.trim() });
  if (scope === 'system' && process.getuid!() !== 0)
    throw new CovetError('COVET_ERR_SYSTEMD', { reason: 'a unit of the machine needs root: use sudo, or `--user`' });
}

async function supervisorRuns(): Promise<boolean> {
  const client = await connectIfThere();
  client?.close();
  return client !== null;
}

/** Of a unit that is not written: in a folder of its own for a moment. */
function exposureOfText(name: string, text: string): string | null {
  const folder = mkdtempSync(join(tmpdir(), 'covet-unit-'));
  try {
    const path = join(folder, `${name}.service`);
    writeFileSync(path, text);
    return exposureOf(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
