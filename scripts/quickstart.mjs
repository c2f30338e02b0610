/**
 * Shows what covet-pm promises, on this machine, and fails where it is not so: starts examples/http on every core, asks it, reloads
 * it under load and counts every answer. scripts/quickstart prepares and calls this.
 *
 * The supervisor's home is COVET_HOME, else build/quickstart; the port is PORT, else 3000 or a free one.
 */
import { execFile } from 'node:child_process';
import { Agent, get } from 'node:http';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'dist', 'covet-pm.cjs');
const isOwnHome = !process.env.COVET_HOME;
const home = process.env.COVET_HOME || join(root, 'build', 'quickstart');
const APP = 'hello';

const FRESH_REQUESTS = 100;
const CLIENTS_OF_EACH_KIND = 8;
/** How long the load goes on before and after the reload. */
const AROUND_RELOAD_MS = 1_000;
const REQUEST_TIMEOUT_MS = 10_000;

let port = 0;
await main().catch((error) => {
  console.error(`error ${error.message}`);
  process.exit(1);
});

async function main() {
  await clearEarlierRun();
  port = await freePort(Number(process.env.PORT) || 3000);

  step(`Starting examples/http on every core (${availableParallelism()}), port ${port}`);
  console.log(indented(await covet('start', join(root, 'examples', 'http', 'app.js'), '--name', APP, '-i', 'max')));

  step(`Sending ${FRESH_REQUESTS} requests, each on a connection of its own`);
  const served = new Set();
  for (let i = 0; i < FRESH_REQUESTS; i++) served.add(await request(false));
  console.log(
    indented(`${FRESH_REQUESTS} of ${FRESH_REQUESTS} answered, by ${served.size} ${served.size === 1 ? 'process' : 'processes'}`),
  );

  step('Reloading it under load');
  await reloadUnderLoad();

  step('How it stands');
  console.log(indented(await covet('list', '--workers')));
  console.log(furtherSteps());
}

async function reloadUnderLoad() {
  const tally = { answered: 0, lost: [], pids: new Set() };
  let isOver = false;
  const client = async (agent) => {
    while (!isOver) {
      try {
        tally.pids.add(await request(agent));
        tally.answered++;
      } catch (error) {
        tally.lost.push(error.code ?? error.message);
      }
    }
    if (agent) agent.destroy();
  };
  const before = await workerPids();
  const clients = Array.from({ length: CLIENTS_OF_EACH_KIND }, () => [
    client(false),
    client(new Agent({ keepAlive: true, maxSockets: 1 })),
  ]);
  await pause(AROUND_RELOAD_MS);
  const outcome = await covet('reload', APP);
  await pause(AROUND_RELOAD_MS);
  isOver = true;
  await Promise.all(clients.flat());
  const after = await workerPids();

  console.log(indented(outcome));
  console.log(
    indented(
      `${tally.answered} requests answered, ${tally.lost.length} lost; ${CLIENTS_OF_EACH_KIND} clients reconnecting, ${CLIENTS_OF_EACH_KIND} on keep-alive`,
    ),
  );
  if (tally.lost.length > 0)
    throw new Error(`Expected no request to be lost, got ${tally.lost.length}: ${[...new Set(tally.lost)].join(', ')}`);
  if (after.some((pid) => before.includes(pid))) throw new Error('Expected every worker to be a new one after the reload.');
  for (const [whose, pids] of [
    ['old', before],
    ['new', after],
  ]) {
    if (!pids.some((pid) => tally.pids.has(pid))) throw new Error(`Expected the ${whose} workers to have answered during the load.`);
  }
}

/** Resolves with the pid that answered; throws on anything but a whole, right answer. */
function request(agent) {
  return new Promise((resolve, reject) => {
    const asked = get({ port, host: '127.0.0.1', agent, timeout: REQUEST_TIMEOUT_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk) => (body += chunk));
      response.on('error', reject);
      response.on('end', () => {
        const [, pid] = /^Hello from (\d+)\n$/.exec(body) ?? [];
        if (response.statusCode === 200 && pid !== undefined) resolve(Number(pid));
        else reject(new Error(`status ${response.statusCode} with ${JSON.stringify(body)}`));
      });
    });
    asked.on('timeout', () => asked.destroy(new Error('timeout')));
    asked.on('error', reject);
  });
}

async function workerPids() {
  const { apps } = JSON.parse(await covet('list', '--json'));
  return apps.find(({ name }) => name === APP).workers.map(({ pid }) => pid);
}

/** An earlier quickstart left its app running, maybe of an older build; another home's supervisor is only asked to let go of ours. */
async function clearEarlierRun() {
  await covet('delete', APP).catch(() => undefined);
  if (isOwnHome) await covet('kill');
}

async function covet(...args) {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [bin, ...args], {
      env: { ...process.env, COVET_HOME: home, PORT: String(port) },
    });
    return stdout.trimEnd();
  } catch (error) {
    throw new Error(`covet-pm ${args[0]} exited ${error.code}: ${error.stderr ?? error.message}`, { cause: error });
  }
}

/** `wanted` where nobody listens on it, else one that the kernel picks. */
function freePort(wanted) {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', (error) => (wanted === 0 ? reject(error) : resolve(freePort(0))));
    server.listen(wanted, () => {
      const { port: free } = server.address();
      server.close(() => resolve(free));
    });
  });
}

function furtherSteps() {
  const command = relative(process.cwd(), bin).replace(/^(?!\.)/, './');
  const lines = [
    [`curl localhost:${port}`, 'ask it; a few times, to see other workers answer'],
    [`${command} logs ${APP} -f`, 'what it says'],
    [`${command} describe ${APP}`, 'everything about it'],
    [`${command} reload ${APP}`, 'new code, no connection lost'],
    [`${command} scale ${APP} 8`, 'more workers'],
    [`${command} kill`, 'stop it all'],
  ];
  const width = Math.max(...lines.map(([line]) => line.length));
  return ['', `export COVET_HOME=${home}`, ...lines.map(([line, what]) => `${line.padEnd(width)}   # ${what}`)].join('\n');
}

function step(text) {
  console.log(`\n${text}`);
}

function indented(text) {
  return text.replace(/^/gm, '  ');
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
