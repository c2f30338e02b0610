/** A worker says what it likes on its channel and its hand-off: each word is taken, left aside or the end of its wires, and nothing else. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, writeSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import type { Env } from '../../../supervisor/env.ts';
import type { InitClient } from '../../../supervisor/init/init-client.ts';
import { WorkerHandle } from '../../../supervisor/slots/worker-handle.ts';
import { within } from '../../promises/eventually.ts';
import { seededRandom, testSeed } from '../../seed.ts';
import { envIn } from '../core.ts';

const WORDS = 10_000;
const GROWTH_MAX = 40 * 1_048_576;
const SEED = testSeed();
/** What a worker says last, so that the test knows that all before it was heard. */
const MARK = 'that was all';

type Random = () => number;
type Verdict = 'heard' | 'misbehaved';
type Verdicts = Readonly<Record<Verdict, number>>;

/** A handle whose worker is this test. */
class Worker {
  readonly #t: TestContext;
  readonly #handle: WorkerHandle;
  readonly #ends: { readonly channel: number; readonly handoff: number };
  #tell: (verdict: Verdict) => void = () => {};
  isOver = false;

  constructor(t: TestContext, env: Env) {
    this.#t = t;
    const pair = (kind: 'stream' | 'seqpacket'): [number, number] => env.native.socketPair(kind);
    const [channel, channelTheirs] = pair('stream');
    const [handoff, handoffTheirs] = pair('seqpacket');
    const [out, err] = [openSync('/dev/null', 'r'), openSync('/dev/null', 'r')];
    this.#ends = { channel: channelTheirs, handoff: handoffTheirs };
    const noInit = null as unknown as InitClient;
    this.#handle = new WorkerHandle(env, noInit, 'w-web-1-0-1', {
      onRunning: () => this.#unexpected('running'),
      onFailed: () => this.#unexpected('failed'),
      onExited: () => {},
      onMessage: (message) => message.t === 'message' && message.data === MARK && this.#tell('heard'),
      onLend: (_request, reply) => {
        reply({ ok: 'self' });
        this.#tell('heard');
      },
      onMisbehaved: (problem) => {
        assert.match(problem, /^broke the worker protocol: /);
        this.isOver = true;
        this.#tell('misbehaved');
      },
    });
    const files = { out: '/dev/null', err: '/dev/null' };
    this.#handle.adopt({ key: 'w-web-1-0-1', pid: process.pid, start: '0', files, channel, handoff, out, err, pidfd: null }, 0);
  }

  say(line: Buffer): Promise<Verdict> {
    return this.#answered(() => writeSync(this.#ends.channel, Buffer.concat([line, Buffer.from(`\n{"t":"message","data":"${MARK}"}\n`)])));
  }

  /** `send` sends a packet on the worker's end; one that is right follows. */
  ask(send: (handoff: number) => void): Promise<Verdict> {
    return this.#answered(() => send(this.#ends.handoff));
  }

  end(): void {
    this.#handle.exited(0);
    closeSync(this.#ends.channel);
    closeSync(this.#ends.handoff);
  }

  #answered(act: () => void): Promise<Verdict> {
    const verdict = new Promise<Verdict>((resolve) => (this.#tell = resolve));
    act();
    return within('an answer to a word of a worker', verdict);
  }

  #unexpected(what: string): void {
    this.#t.diagnostic(`a worker's words made it ${what}`);
    assert.fail(`Expected no worker's word to make it ${what}`);
  }
}

function randomLine(random: Random): Buffer {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const value = (): unknown => pick([undefined, null, -1, 1, 1.5, 1e308, '', 'x'.repeat(Math.floor(random() * 600)), [], {}, true]);
  const kind = pick([
    'hello',
    'listening',
    'closed',
    'loaded',
    'ready',
    'message',
    'signals',
    'draining',
    'drained',
    'lend',
    '__proto__',
    '',
  ]);
  if (random() < 0.2)
    return Buffer.from(Array.from({ length: Math.floor(random() * 300) }, () => Math.floor(random() * 256)).filter((byte) => byte !== 10));
  if (random() < 0.1) return Buffer.from('['.repeat(Math.floor(random() * 5_000)));
  const counts = { http1: value(), http1Idle: 0, http2: 0, websocket: 0, sse: 0, raw: 0 };
  const fields = {
    listener: value(),
    own: value(),
    data: value(),
    sigterm: value(),
    sigint: true,
    open: counts,
    listeners: value(),
    pid: value(),
  };
  const text = JSON.stringify({ t: random() < 0.9 ? kind : value(), ...fields, counts: pick([counts, value()]) });
  return Buffer.from(random() < 0.2 ? text.slice(0, Math.floor(random() * text.length)) : text);
}

function randomPacket(random: Random): string {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const right = { t: 'lend', host: null, port: 0, path: null, ipv6Only: false, backlog: 511 };
  const wrong = { ...right, [pick(Object.keys(right))]: pick([null, -1, 1e9, 'x'.repeat(5_000), [], {}, 0.5]) };
  const text = JSON.stringify(pick<unknown>([right, wrong, wrong, [], 1, null]));
  return random() < 0.2 ? text.slice(0, 1 + Math.floor(random() * text.length)) : text;
}

/**
 * Says `words` words to workers, a new one after each that is over. Descriptors of this process and its memory are looked at before and after; the
 * first lives are not counted.
 */
async function say(t: TestContext, word: (worker: Worker, native: Env['native'], random: Random) => Promise<Verdict>): Promise<Verdicts> {
  const env = envIn(t);
  const random = seededRandom(SEED);
  const verdicts = { heard: 0, misbehaved: 0 };
  const live = async (words: number): Promise<void> => {
    let worker = new Worker(t, env);
    for (let i = 0; i < words; i++) {
      verdicts[await word(worker, env.native, random)]++;
      if (!worker.isOver) continue;
      worker.end();
      worker = new Worker(t, env);
    }
    worker.end();
    await new Promise((resolve) => setImmediate(resolve));
  };
  await live(WORDS / 20);
  const before = { fds: readdirSync('/proc/self/fd').length, rss: process.memoryUsage.rss() };
  await live(WORDS);
  assert.equal(readdirSync('/proc/self/fd').length, before.fds);
  const growth = process.memoryUsage.rss() - before.rss;
  assert.ok(growth < GROWTH_MAX, `${growth / 1_048_576} MiB more`);
  return verdicts;
}

test(`${WORDS} random lines on the channel: heard or the end of the wires, no crash, nothing kept (seed ${SEED})`, async (t) => {
  const verdicts = await say(t, async (worker, _native, random) => worker.say(randomLine(random)));
  assert.ok(verdicts.heard > WORDS / 20 && verdicts.misbehaved > WORDS / 20, JSON.stringify(verdicts));
});

test(`${WORDS} random packets on the hand-off, with descriptors of any kind: the same (seed ${SEED})`, async (t) => {
  const verdicts = await say(t, async (worker, native, random) => {
    const fds = [openSync('/dev/null', 'r'), ...native.socketPair('stream'), ...native.socketPair('seqpacket')].sort(() => random() - 0.5);
    const verdict = worker.ask((handoff) => {
      const socket = new native.PacketSocket(native.duplicate(handoff));
      socket.send(randomPacket(random), fds.slice(0, Math.floor(random() * (fds.length + 1))));
      socket.close();
    });
    for (const fd of fds) closeSync(fd);
    return verdict;
  });
  assert.ok(verdicts.heard > WORDS / 200 && verdicts.misbehaved > WORDS / 20, JSON.stringify(verdicts));
});
