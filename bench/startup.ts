/**
 * How long from the command to the first answer, and from a worker's death to its successor's?
 *
 * Unit: milliseconds, and milliseconds over bare node (spawn → first answer) in the same round. Start is asked of a running
 * supervisor, as of every app but the first. Wrong when the file cache is cold (the first round is thrown away).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Home } from '../test/promises/home.ts';
import { freePort } from '../test/promises/ports.ts';
import { repositoryRoot } from '../test/promises/root.ts';
import { answers } from './contenders.ts';
import { enterNamespace } from './machine.ts';
import { digits, report, show } from './report.ts';
import { figureOf } from './statistics.ts';

enterNamespace();
const small = process.argv.includes('--small');
const ROUNDS = small ? 2 : 21;
const LOOK_MS = 2;
const START_MS = 20_000;
const APP = join(repositoryRoot(), 'bench/peers/http-app.cjs');
const home = new Home();

try {
  const port = await freePort();
  await home.start({ script: APP, name: 'warm', instances: 1, minHealthyMs: 0, env: { PORT: String(port) } });
  const bare: number[] = [];
  const started: number[] = [];
  const crashed: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const figures = [await bareNode(port + 1), await startUnderSupervisor(port + 2), await crashToAnswer()] as const;
    if (round === 0) continue;
    bare.push(figures[0]);
    started.push(figures[1]);
    crashed.push(figures[2]);
  }
  report({
    name: 'startup',
    question: 'How long from the command to the first answer, and from a crash to the next?',
    small,
    columns: ['what', 'ms', 'over bare node, ms'],
    rows: [
      ['bare node: spawn → first answer', show(figureOf(bare)), '–'],
      ['covet-pm start → first answer', show(figureOf(started)), show(figureOf(started.map((ms, i) => ms - bare[i]!)))],
      ['SIGKILL of a worker → its successor answers', show(figureOf(crashed)), show(figureOf(crashed.map((ms, i) => ms - bare[i]!)))],
    ],
    judged: [],
    notes: [
      `start includes the command itself, a node of its own: a node that does nothing takes ${digits(await nothing())} ms here`,
      'a crash includes the backoff’s first pause, full jitter below 1 ms here (restart.delayMs 1)',
    ],
    samples: { bare, started, crashed },
  });
} finally {
  await home.end();
}

async function bareNode(port: number): Promise<number> {
  const began = performance.now();
  const child = spawn(process.execPath, [APP], { env: { ...process.env, PORT: String(port) }, stdio: 'ignore' });
  const ms = await firstAnswer(port, began);
  child.kill('SIGKILL');
  await once(child, 'exit');
  return ms;
}

async function startUnderSupervisor(port: number): Promise<number> {
  const began = performance.now();
  const starting = home.start({ script: APP, name: 'cold', instances: 1, minHealthyMs: 0, env: { PORT: String(port) } });
  const ms = await firstAnswer(port, began);
  await starting;
  await home.covet('delete', 'cold');
  return ms;
}

/** As a client sees it: a connection made right after the death waits in the slot's queue until the successor answers. */
async function crashToAnswer(): Promise<number> {
  const port = await freePort();
  await home.start({ script: APP, name: 'crash', instances: 1, restart: { delayMs: 1, delayMaxMs: 1 }, env: { PORT: String(port) } });
  const events = await home.events();
  const [pid = 0] = await home.pids('crash');
  const began = performance.now();
  process.kill(pid, 'SIGKILL');
  await events.waitFor('worker.exited', (event) => event.pid === pid);
  if (!(await answers(port))) throw new Error('Expected the connection to wait for the successor');
  const ms = performance.now() - began;
  await home.covet('delete', 'crash');
  return ms;
}

/** Asks every LOOK_MS: without the pause the asking itself would take the CPU from what is being started. */
async function firstAnswer(port: number, began: number): Promise<number> {
  while (!(await answers(port))) {
    if (performance.now() - began > START_MS) throw new Error(`Expected port ${port} to answer within ${START_MS} ms`);
    await pause(LOOK_MS);
  }
  return performance.now() - began;
}

async function nothing(): Promise<number> {
  const began = performance.now();
  await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit');
  return performance.now() - began;
}
