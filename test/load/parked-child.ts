/**
 * Connections that are left as they are while something dies, each in one state, and then used: which of them are lost, and who answers the
 * others? Told over IPC by parked.ts.
 */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { eventually, within } from '../promises/eventually.ts';
import type { Target } from './options.ts';
import type { Fate, ParkedOrder, State } from './parked.ts';
import { answerOf, newToken } from './run.ts';
import { lossOf } from './tally.ts';
import { Wire } from './wire.ts';

const DEADLINE_MS = 30_000;

/** Uses one connection; resolves with the pid of who answered. Rejects when it is lost. */
type Use = () => Promise<number>;

const parked = new Map<State, Use[]>();
/** Ends them all. */
const ends: (() => void)[] = [];

const PARK: Readonly<Record<State, (target: Target) => Promise<Use>>> = {
  async idle(target) {
    const wire = await opened(target);
    return async () => ask(wire, '/');
  },
  async queued(target) {
    return asked(await opened(target), '/');
  },
  async 'in flight'(target) {
    return asked(await opened(target), '/hold');
  },
  async 'keep-alive'(target) {
    const wire = await opened(target);
    await ask(wire, '/');
    return async () => ask(wire, '/');
  },
  async WebSocket(target) {
    const socket = new WebSocket(`ws://${target.host}:${target.port}/`);
    socket.on('error', () => {}); // its close says enough
    ends.push(() => socket.terminate());
    await within('a WebSocket', once(socket, 'open'), DEADLINE_MS);
    const closed = once(socket, 'close').then(() => {
      throw new Error('the WebSocket was closed');
    });
    closed.catch(() => undefined); // told when it is used
    await echo(socket, closed);
    return async () => echo(socket, closed);
  },
};

process.on('message', (order: ParkedOrder) => {
  carryOut(order).then(
    (fates) => process.send!({ fates }),
    (error: unknown) => process.send!({ failed: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
process.send!({ fates: [] });

async function carryOut(order: ParkedOrder): Promise<Fate[]> {
  const { target } = order;
  if (order.do === 'use') {
    const release = await Wire.open(target, DEADLINE_MS);
    await ask(release, '/release');
    release.close();
    const fates = await Promise.all([...parked].map(async ([state, uses]) => fateOf(state, uses)));
    for (const end of ends.splice(0)) end();
    return fates;
  }
  for (const state of order.states)
    parked.set(state, await Promise.all(Array.from({ length: order.count }, async () => PARK[state](target))));
  if (!order.states.includes('queued')) await allInHand(target, order.states.length * order.count, order.count);
  return [];
}

async function opened(target: Target): Promise<Wire> {
  const wire = await Wire.open(target, DEADLINE_MS);
  ends.push(() => wire.close());
  return wire;
}

/** The app has accepted each of them, and holds those that are in flight. */
async function allInHand(target: Target, connections: number, held: number): Promise<void> {
  const wire = await Wire.open(target, DEADLINE_MS);
  await eventually('all to be accepted', async () => {
    wire.write('GET /count HTTP/1.1\r\nHost: any\r\n\r\n');
    const { body } = await wire.response({ deadlineMs: DEADLINE_MS });
    const has = JSON.parse(body.toString()) as { held: number; connections: number };
    return has.held === held && has.connections === connections + 1;
  });
  wire.close();
}

async function fateOf(state: State, uses: readonly Use[]): Promise<Fate> {
  const settled = await Promise.allSettled(uses.map(async (use) => use()));
  const by = new Set(settled.flatMap((end) => (end.status === 'fulfilled' ? end.value : [])));
  const reasons = settled.flatMap((end) => (end.status === 'rejected' ? String(end.reason) : []));
  return { state, parked: uses.length, lost: reasons.length, by: [...by], reasons };
}

async function ask(wire: Wire, path: string): Promise<number> {
  const token = newToken();
  wire.write(`GET ${path}?token=${token} HTTP/1.1\r\nHost: any\r\n\r\n`);
  const { status, body } = await wire.response({ deadlineMs: DEADLINE_MS });
  const said = answerOf(status, body);
  if (said.token !== token) throw lossOf(new Error(`asked with token ${token}, answered with ${said.token}`), true);
  return said.pid;
}

/** Asked now, awaited when it is used. */
function asked(wire: Wire, path: string): Use {
  const answer = ask(wire, path);
  answer.catch(() => undefined); // told when it is used
  return async () => answer;
}

async function echo(socket: WebSocket, closed: Promise<never>): Promise<number> {
  const token = newToken();
  const message = once(socket, 'message') as Promise<[Buffer]>;
  socket.send(token, { binary: false }, () => undefined);
  const [data] = await within('an echo', Promise.race([message, closed]), DEADLINE_MS);
  const [pid, text] = data.toString().split(' ');
  if (text !== token) throw new Error(`sent ${token}, got ${text} back`);
  return Number(pid);
}
