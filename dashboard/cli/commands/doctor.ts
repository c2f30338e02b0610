/**
 * `doctor`: asks the supervisor; where none runs, and none is started for it, this process looks at the host by itself, for the
 * supervisor would find the same. Of apps nothing is known then.
 */
import type { Command } from 'commander';
import { native } from '../../../native/index.ts';
import { CovetError } from '../../../supervisor/protocol/errors.ts';
import { OPERATIONS, type DoctorView } from '../../../supervisor/protocol/operations.ts';
import type { Client } from '../../client.ts';
import { adviceOnLeft, callerPaths } from '../../connection.ts';
import { homeProblem } from '../../home.ts';
import { connectIfThere, nativePart } from '../../launch.ts';
import { printDoctor } from '../print/doctor.ts';
import { print, printJson, terminalStyle } from '../terminal.ts';
import { command, type Invocation, type NoOptions, type Runner } from './command.ts';
import { READ_DEADLINE_MS } from './operation.ts';

export function doctorCommand(invocation: Invocation, run: Runner<NoOptions> = runDoctor): Command {
  return command('doctor', `${OPERATIONS.doctor.summary} Without a supervisor too.`).action(() => run({}, invocation));
}

async function runDoctor(_: NoOptions, { json, noColour }: Invocation): Promise<void> {
  const view = await look();
  if (json) printJson(view);
  else print(printDoctor(view, terminalStyle(noColour)));
}

async function look(): Promise<DoctorView> {
  let client: Client | null;
  try {
    client = await connectIfThere();
  } catch (error) {
    if (error instanceof CovetError && error.code === 'COVET_ERR_SUPERVISOR_DOWN')
      return lookAlone('note', 'does not answer', error.message);
    throw error;
  }
  if (client === null) {
    const left = adviceOnLeft(callerPaths());
    if (left !== null) return lookAlone('warning', 'none runs', left);
    return lookAlone('note', 'none runs', 'So nothing is known of apps. `covet-pm start app.js` starts one.');
  }
  try {
    return await client.doctor({}, { deadlineMs: READ_DEADLINE_MS });
  } finally {
    client.close();
  }
}

async function lookAlone(level: 'note' | 'warning', found: string, advice: string): Promise<DoctorView> {
  const { hostFindings } = await import('../../../supervisor/host/findings.ts');
  const supervisor = { level, what: 'supervisor', found, advice };
  const paths = callerPaths();
  return { apiVersion: 1, findings: [...hostFindings(nativePart(native), paths.home, homeProblem(paths)), supervisor] };
}
