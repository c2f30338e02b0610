/**
 * How fast do two workers' lines get into the file, and is every one of them there?
 *
 * Unit: MB/s from the order to write until the last line is in the file. Lines are 120 bytes, numbered per worker; each must be there
 * once and in order. Wrong when the disk is the limit (the file lies in the system's temporary folder; rotation is off) or when the
 * writers are: an app that writes through node's stdout is most of the cost.
 */
import { readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../test/promises/eventually.ts';
import { Home } from '../test/promises/home.ts';
import { freePort } from '../test/promises/ports.ts';
import { repositoryRoot } from '../test/promises/root.ts';
import { enterNamespace } from './machine.ts';
import { report, show } from './report.ts';
import { figureOf } from './statistics.ts';

enterNamespace();
const small = process.argv.includes('--small');
const ROUNDS = small ? 2 : 15;
const LINES = small ? 5_000 : 400_000;
const LINE_BYTES = 120;
const WORKERS = 2;
const MEGABYTES_PER_SECOND_MIN = 200;

const home = new Home();
try {
  const port = await freePort();
  // Fork mode with two instances would share a port; two apps are two writers that can each be asked.
  for (let i = 0; i < WORKERS; i++) {
    await home.start({
      script: join(repositoryRoot(), 'bench/peers/writes-lines.cjs'),
      name: `writer${i}`,
      instances: 1,
      minHealthyMs: 0,
      env: { PORT: String(port + i) },
      logs: { bytesMax: 0 },
    });
  }
  const files = Array.from({ length: WORKERS }, (_, i) => home.logFile('out', `writer${i}`));
  const speeds: number[] = [];
  let lost = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const file of files) truncateSync(file);
    const began = performance.now();
    await Promise.all(files.map(async (_, i) => (await fetch(`http://127.0.0.1:${port + i}/write?lines=${LINES}`)).text()));
    await eventually('the last line to be in the file', () => files.every((file) => statSync(file).size >= LINES * LINE_BYTES));
    speeds.push((WORKERS * LINES * LINE_BYTES) / 1_000 / (performance.now() - began));
    for (const file of files) lost += missing(file);
  }
  report({
    name: 'logs',
    question: 'How fast do two workers’ lines get into the file, and is every one there?',
    small,
    columns: ['workers', 'MB/s', 'lines', 'lines lost, repeated or out of order'],
    rows: [[String(WORKERS), show(figureOf(speeds)), String(ROUNDS * WORKERS * LINES), String(lost)]],
    judged: [{ what: 'MB/s from two workers', figure: figureOf(speeds), claim: { kind: 'at least', limit: MEGABYTES_PER_SECOND_MIN } }],
    notes: [],
    samples: { speeds, lost },
  });
  if (lost > 0) process.exitCode = 1;
} finally {
  await home.end();
}

function missing(file: string): number {
  const text = readFileSync(file);
  let wrong = 0;
  for (let line = 0; line < LINES; line++) {
    const at = line * LINE_BYTES;
    const start = text.toString('latin1', at, at + 16).split(' ');
    if (start[1] !== String(line) || text[at + LINE_BYTES - 1] !== 10) wrong++;
  }
  return wrong;
}
