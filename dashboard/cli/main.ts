/**
 * The full CLI: every command with every flag, made from the files of commands/. The bin (fast.ts) comes here for what it does not
 * do itself. Parsing is commander's; its complaints become errors of our table, and every end is one exit code.
 */
import { Command } from 'commander';
import { changeCommands, scaleCommand } from './commands/change.ts';
import { command, COMMON_FLAGS, Said, unknownCommand, type Invocation } from './commands/command.ts';
import { doctorCommand } from './commands/doctor.ts';
import { eventsCommand, logsCommand } from './commands/follow.ts';
import { jlistCommand, listCommand } from './commands/list.ts';
import { describeCommand, healthCommand, pingCommand } from './commands/read.ts';
import { runCommand } from './commands/run.ts';
import { startCommand } from './commands/start.ts';
import { startupCommand, unstartupCommand } from './commands/startup.ts';
import { upgradeCommand } from './commands/upgrade.ts';
import { killCommand, resurrectCommand } from './commands/supervisor.ts';
import { EXIT } from '../../supervisor/protocol/errors.ts';
import { fail } from './failure.ts';
import { print, printJson } from './terminal.ts';
import { VERSION } from '../../supervisor/protocol/version.ts';

/** Runs what `argv` (without node and script) says and gives the exit code. */
export async function runCli(argv: readonly string[]): Promise<number> {
  const { invocation, rest } = splitCommandLine(argv);
  try {
    await program(invocation).parseAsync(rest, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof Said) return error.exitCode;
    const isRun = rest[0] === 'run';
    const code = fail(error, { ...invocation, asLogLine: isRun && / --log-format[ =]json\b/.test(rest.join(' ')) });
    if (rest[0] === 'health') return EXIT.failed;
    /* The other codes are the app's own there. */
    return isRun && code === EXIT.failed ? EXIT.runFailed : code;
  }
}

export function program(invocation: Invocation): Command {
  const made = command('covet-pm', 'Runs an app on every core, and reloads it without losing a connection.')
    .version(VERSION, '-v, --version', 'Show the version.')
    .usage('<command> [options]')
    .helpCommand(false)
    .addHelpText('after', HELP_END);
  const commands = [
    startCommand(invocation),
    runCommand(invocation),
    listCommand(invocation),
    jlistCommand(invocation),
    describeCommand(invocation),
    logsCommand(invocation),
    eventsCommand(invocation),
    ...changeCommands(invocation),
    scaleCommand(invocation),
    killCommand(invocation),
    resurrectCommand(invocation),
    upgradeCommand(invocation),
    startupCommand(invocation),
    unstartupCommand(invocation),
    pingCommand(invocation),
    healthCommand(invocation),
    doctorCommand(invocation),
    command('version', 'Show the version.').action(() =>
      invocation.json ? printJson({ apiVersion: 1, version: VERSION }) : print(`${VERSION}\n`),
    ),
  ];
  for (const each of commands) made.addCommand(each);
  return made.addCommand(helpCommand(made));
}

/** Commander's own shows everything for a word that it does not know. */
function helpCommand(whole: Command): Command {
  return command('help', 'Show the help of a command.')
    .argument('[command]', 'By default all.')
    .action((name?: string) => {
      if (name === undefined) whole.help();
      const found = whole.commands.find((each) => each.name() === name || each.aliases().includes(name));
      if (found === undefined) throw unknownCommand(name, whole);
      found.help();
    });
}

/**
 * Takes the flags that every command has from wherever they stand, and the app's own arguments from after `--`. Only `start` and
 * `run` have such arguments; for the others they stay, to be complained of.
 */
export function splitCommandLine(argv: readonly string[]): { invocation: Invocation; rest: string[] } {
  const at = argv.indexOf('--');
  const [own, appArgs] = at === -1 ? [argv, []] : [argv.slice(0, at), argv.slice(at + 1)];
  const given = new Set(own);
  const invocation = {
    json: given.has('--json'),
    quiet: given.has('--quiet') || given.has('-q'),
    noColour: given.has('--no-color'),
    appArgs,
  };
  const rest = own.filter((word) => !(COMMON_FLAGS as readonly string[]).includes(word));
  const takesAppArgs = rest[0] === 'start' || rest[0] === 'run';
  return { invocation, rest: takesAppArgs || at === -1 ? rest : [...rest, ...argv.slice(at)] };
}

const HELP_END = `
Every command takes --json (data for a program), -q, --quiet (no messages) and --no-color.
Exit codes: 0 done, 1 failed, 2 usage, 3 no supervisor, 124 deadline passed; \`run\` exits with the app's.

  covet-pm start app.js -i max     every core, one socket each
  covet-pm reload app              new code, no connection lost
  covet-pm logs app -f`;
