/**
 * Does a reload lose anything, and how long does it take? Reconnecting and keep-alive clients with exact accounting, node's own Agent
 * and undici beside them, through one reload after another.
 *
 * Unit: requests lost, milliseconds per reload, longest wait of a request. `--soak` is the claim: 1,000 reloads and a million
 * requests. Wrong when the clients retry (they do not) or stop between reloads (each is answered again before the next one).
 */
import { join } from 'node:path';
import { LoadProcess } from '../test/load/load.ts';
import { Home, SHORT } from '../test/promises/home.ts';
import { freePort } from '../test/promises/ports.ts';
import { Deployment } from '../test/promises/release.ts';
import type { OperationResults } from '../supervisor/protocol/operations.ts';
import { enterNamespace } from './machine.ts';
import { faultsOf } from './reload-judge.ts';
import { digits, report } from './report.ts';
import { percentile } from './statistics.ts';

enterNamespace();
const small = process.argv.includes('--small');
const soak = process.argv.includes('--soak');
const RELOADS = small ? 2 : soak ? 1_000 : 50;
/** Between two reloads; a thousand times a thousand is a million. */
const ANSWERS = small ? 20 : 1_000;
const PROGRESS_RELOADS = 25;
const CLIENTS = [
  { kind: 'reconnect', connections: 32, keeps: false },
  { kind: 'keepAlive', connections: 32, keeps: true },
  { kind: 'keepAlive', connections: 64, thinkMs: [0, 500], keeps: true },
  { kind: 'agent', connections: 8, keeps: true },
  { kind: 'undici', connections: 8, keeps: true },
] as const;

const home = new Home();
const load = await LoadProcess.start();
try {
  const port = await freePort();
  const deployment = new Deployment(join(home.work, 'app'), 'http.cjs');
  await home.start({ ...SHORT, script: deployment.script, cwd: deployment.folder, instances: 2, env: { PORT: String(port) } });
  const client = await home.client();
  const loads = await Promise.all(CLIENTS.map(async (options) => load.begin({ ...options, target: { host: '127.0.0.1', port } })));
  const times: number[] = [];
  const drains = { handedOver: 0, idleClosed: 0, cut: 0, killed: 0 };
  for (let i = 0; i < RELOADS; i++) {
    const done: OperationResults['reload'] = await client.reload({ app: 'web' });
    times.push(done.durationMs);
    drains.handedOver += done.drain.handedOver;
    drains.idleClosed += done.drain.idleClosed;
    drains.cut += Object.values(done.drain.cut).reduce((sum, n) => sum + n, 0);
    drains.killed += done.killed;
    await loads[0]?.more(ANSWERS);
    if ((i + 1) % PROGRESS_RELOADS === 0) process.stderr.write(`${i + 1} of ${RELOADS} reloads\n`);
  }
  const tallies = await Promise.all(loads.map(async (each) => each.stop()));
  const lost = tallies.reduce((sum, tally) => sum + tally.lost, 0);
  const faults = faultsOf(
    tallies.map((tally, i) => ({ tally, ...CLIENTS[i]! })),
    RELOADS * ANSWERS,
  );
  const requests = tallies.reduce((sum, tally) => sum + tally.requests, 0);
  const sorted = times.toSorted((a, b) => a - b);
  report({
    name: 'reload',
    question: `Does a reload lose anything? ${RELOADS} reloads of 2 workers`,
    small,
    columns: ['client', 'requests', 'lost', 'connections opened', 'longest wait ms'],
    rows: tallies.map((tally, i) => [
      `${CLIENTS[i]!.kind} c=${CLIENTS[i]!.connections}`,
      String(tally.requests),
      String(tally.lost),
      String(tally.opened),
      String(tally.longestMs),
    ]),
    judged: [],
    notes: [
      `${requests} requests, ${lost} lost`,
      `a reload took ${digits(percentile(sorted, 0.5))} ms (median), ${digits(percentile(sorted, 0.99))} ms (p99), ${digits(sorted.at(-1) ?? 0)} ms (max)`,
      `connections handed over ${drains.handedOver}, closed idle ${drains.idleClosed}, cut ${drains.cut}; workers killed ${drains.killed}`,
      ...faults.map((fault) => `fault: ${fault}`),
      ...tallies.flatMap((tally) => tally.examples.map((example) => `lost by ${tally.client}: ${example}`)),
    ],
    samples: { times, tallies, drains },
  });
  if (faults.length > 0) process.exitCode = 1;
} finally {
  await load.close();
  await home.end();
}
