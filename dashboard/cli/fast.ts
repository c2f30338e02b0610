#!/usr/bin/env node
/**
 * The bin. `list`, `jlist`, `ping`, `health`, `stop`, `restart`, `reload` and `describe` with their common flags are done here, over
 * one socket, with no dependency: a `list` costs little more than `node -e 0`. Anything else, an unknown flag too, is the full CLI's
 * (main.ts, dist/cli.mjs), which has the same commands with every flag.
 *
 * Nothing here may touch process.stdout, a schema or a package; bench/cli keeps watch.
 */
import { callerPaths, Connection } from '../connection.ts';
import type { OperationResults } from '../../supervisor/protocol/operations.ts';
import { CovetError, EXIT } from '../../supervisor/protocol/errors.ts';
import { fail } from './failure.ts';
import { readFast, type FastCommand } from './fast-arguments.ts';
import { tellOther } from './other-version.ts';
import { printDescribe } from './print/describe.ts';
import { printHealth } from './print/health.ts';
import { jlist } from './print/jlist.ts';
import { EMPTY_LIST, printList, warnOfTrouble } from './print/list.ts';
import { OUTCOMES } from './print/outcomes.ts';
import { printPing } from './print/ping.ts';
import { withProgress } from './progress.ts';
import { print, printJson, say, terminalStyle } from './terminal.ts';

/** A supervisor that takes this long for a reading is stuck, which the user should hear. */
const READ_DEADLINE_MS = 10_000;
const READINGS: ReadonlySet<FastCommand['verb']> = new Set(['list', 'jlist', 'ping', 'health', 'describe']);

async function main(): Promise<number> {
  const command = readFast(process.argv.slice(2));
  if (command === null) return runFullCli();
  try {
    return await answer(command);
  } catch (error) {
    const code = fail(error, command);
    return command.verb === 'health' ? EXIT.failed : code;
  }
}

async function answer(command: FastCommand): Promise<number> {
  try {
    const result = await perform(command);
    show(command, result);
    return command.verb === 'health' && !(result as OperationResults['health']).isHealthy ? EXIT.failed : EXIT.done;
  } catch (error) {
    const isAbsent = error instanceof CovetError && error.code === 'COVET_ERR_SUPERVISOR_ABSENT';
    if (!isAbsent || (command.verb !== 'list' && command.verb !== 'jlist')) throw error;
    show(command, EMPTY_LIST);
    if (command.verb === 'list' && !command.quiet) say(`${error.message}\n`);
    return EXIT.noSupervisor;
  }
}

/** A reading is asked once more, of the next supervisor, where one dies over it. What was to change something may have done so. */
async function perform(command: FastCommand): Promise<unknown> {
  try {
    return await askOn(await open(), command);
  } catch (error) {
    const isLost = error instanceof CovetError && error.code === 'COVET_ERR_CONTROL_LOST';
    if (!isLost || !READINGS.has(command.verb)) throw error;
    return askOn(await open(), command);
  }
}

const open = (): Promise<Connection> => Connection.open(callerPaths(), undefined, tellOther);

async function askOn(connection: Connection, command: FastCommand): Promise<unknown> {
  try {
    return await ask(connection, command);
  } finally {
    connection.close();
  }
}

function ask(connection: Connection, { verb, app, quiet }: FastCommand): Promise<unknown> {
  switch (verb) {
    case 'list':
    case 'jlist':
      return connection.request('list', {}, { deadlineMs: READ_DEADLINE_MS });
    case 'ping':
      return connection.request('ping', {}, { deadlineMs: READ_DEADLINE_MS });
    case 'health':
      return connection.request('health', app === '' ? {} : { app }, { deadlineMs: READ_DEADLINE_MS });
    case 'describe':
      return connection.request('describe', { app }, { deadlineMs: READ_DEADLINE_MS });
    default:
      return withProgress(`${verb} ${app}`, quiet, (onProgress) => connection.request(verb, { app }, { onProgress }));
  }
}

function show({ verb, json, quiet, noColour, workers }: FastCommand, result: unknown): void {
  if (verb === 'jlist') return print(`${JSON.stringify(jlist(result as OperationResults['list'], Date.now()))}\n`);
  if (json) return printJson(result);
  switch (verb) {
    case 'list':
      warnOfTrouble(result as OperationResults['list']);
      return print(printList(result as OperationResults['list'], terminalStyle(noColour), workers));
    case 'describe':
      return print(printDescribe(result as OperationResults['describe'], terminalStyle(noColour)));
    case 'health':
      return quiet ? undefined : print(printHealth(result as OperationResults['health'], terminalStyle(noColour)));
    case 'ping':
      return quiet ? undefined : print(printPing(result as OperationResults['ping']));
    default:
      return quiet ? undefined : print(OUTCOMES[verb](result as never));
  }
}

/** In a variable, so that the bundler leaves the import to the moment it is needed. */
const FULL_CLI: string = './cli.mjs';

async function runFullCli(): Promise<number> {
  const { runCli } = (await import(FULL_CLI)) as typeof import('./main.ts');
  return runCli(process.argv.slice(2));
}

void main().then((code) => {
  process.exitCode = code;
});
