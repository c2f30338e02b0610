/**
 * c WebSockets of `ws`: random messages that the app echoes, and pushes from the app that carry their own SHA-1. Every end must be
 * a clean close frame (1001 going away, or 1000); an end without one is `cut`, a broken frame or wrong bytes are losses too. A
 * message on its way when a clean close comes is counted apart: the protocol promises it nothing.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { type Client, type Run, loop, newToken, rest, think } from '../run.ts';
import { Lost, lossOf } from '../tally.ts';

const MESSAGE_BYTES_MAX = 20_000;
const SHA1_BYTES = 20;
/** RFC 6455 §7.4.1. */
const CLEAN = new Set([1000, 1001]);

export const websocket: Client = async (run) =>
  loop(run, async () => {
    run.counter.request();
    const socket = await open(run);
    try {
      await converse(run, socket);
    } finally {
      socket.terminate();
    }
  });

async function open(run: Run): Promise<WebSocket> {
  const { target } = run.options;
  const startedAtMs = performance.now();
  const socket = new WebSocket(`ws${target.tls === true ? 's' : ''}://${target.host}:${target.port}/?push=1`, {
    rejectUnauthorized: false,
    handshakeTimeout: run.deadlineMs,
  });
  const headers = await new Promise<IncomingHttpHeaders>((resolve, reject) => {
    socket.once('upgrade', (response: IncomingMessage) => socket.once('open', () => resolve(response.headers)));
    socket.once('error', (error) => reject(lossOf(error, false)));
  });
  socket.removeAllListeners('error');
  run.counter.opened();
  run.counter.answer({ pid: Number(headers['x-pid']), slot: null, build: String(headers['x-build']), n: 0, token: '' }, '', startedAtMs);
  return socket;
}

/** Resolves at a clean end; throws Lost at any other. */
async function converse(run: Run, socket: WebSocket): Promise<void> {
  let echo: { readonly bytes: Buffer; readonly done: () => void } | null = null;
  let problem: Lost | null = null;
  const ended = new Promise<void>((resolve) => {
    socket.on('error', (error: Error) => {
      problem ??= new Lost('protocol', error.message);
    });
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary && echo !== null && data.equals(echo.bytes)) echo.done();
      else if (isBinary) problem ??= new Lost('body', `an echo of ${data.length} bytes that nobody sent`);
      else if (!isPush(data)) problem ??= new Lost('body', `a push whose digest is wrong, ${data.length} bytes`);
    });
    socket.on('close', (code: number) => {
      if (!CLEAN.has(code)) problem ??= new Lost('cut', `closed with ${code}`);
      resolve();
    });
  });
  let closed = false;
  void ended.then(() => {
    closed = true;
  });
  while (!closed && !run.stopping.aborted) {
    const bytes = Buffer.concat([Buffer.from(newToken()), randomBytes(Math.floor(Math.random() * MESSAGE_BYTES_MAX))]);
    const startedAtMs = performance.now();
    run.counter.request();
    let timer: NodeJS.Timeout | undefined;
    const echoed = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => {
        problem ??= new Lost('timeout', `no echo within ${run.deadlineMs} ms`);
        socket.terminate();
      }, run.deadlineMs);
      echo = { bytes, done: () => resolve(true) };
    });
    socket.send(bytes, { binary: true }, () => undefined);
    const answered = await Promise.race([echoed, ended.then(() => false)]);
    clearTimeout(timer);
    echo = null;
    if (answered) run.counter.answered(startedAtMs);
    else if (problem === null) run.counter.unansweredAtClose();
    if (problem !== null && answered) run.counter.request();
    if (problem !== null) throw problem;
    if (answered) await Promise.race([think(run), ended]);
  }
  if (!closed) {
    socket.close(1000);
    await Promise.race([ended, rest({ ...run, stopping: new AbortController().signal }, run.deadlineMs)]);
  }
  if (problem === null) {
    run.counter.cleanEnd();
    return;
  }
  run.counter.request();
  throw problem;
}

/** A push is text: forty hexadecimal digits of SHA-1, then what they are of. */
function isPush(data: Buffer): boolean {
  const digits = SHA1_BYTES * 2;
  return data.toString('latin1', 0, digits) === createHash('sha1').update(data.subarray(digits)).digest('hex');
}
