/**
 * node's http2 client, over TLS or in the clear: c sessions, a few streams on each at a time. After a GOAWAY it finishes what is
 * open there and opens another session, as RFC 9113 §6.8 asks of a client. REFUSED_STREAM is counted apart: never processed.
 */
import http2 from 'node:http2';
import { type Client, type Run, answerOf, loop, newToken, think } from '../run.ts';
import { Lost, lossOf } from '../tally.ts';

const STREAMS = 3;
const REFUSED_STREAM = 7;

export const http2Client: Client = async (run) => {
  const sessions = new Map<number, Held>();
  const each = { ...run, options: { ...run.options, connections: run.options.connections * STREAMS } };
  await loop(each, async (index) => {
    const token = newToken();
    const startedAtMs = performance.now();
    run.counter.request();
    const session = await hold(run, sessions, index % run.options.connections);
    const answer = await request(run, session, token);
    if (answer === 'refused') run.counter.refuseStream();
    else run.counter.answer(answerOf(answer.status, answer.text), token, startedAtMs);
    await think(run);
  });
  for (const { session } of sessions.values()) session.close();
};

interface Held {
  readonly session: http2.ClientHttp2Session;
  readonly connected: Promise<void>;
}

/** The streams of one session share it, also while it is being opened; decided in one turn, so that nobody opens a second one. */
async function hold(run: Run, sessions: Map<number, Held>, index: number): Promise<http2.ClientHttp2Session> {
  let held = sessions.get(index);
  if (held === undefined || held.session.closed || held.session.destroyed) {
    held = open(run);
    sessions.set(index, held);
  }
  await held.connected;
  return held.session;
}

function open(run: Run): Held {
  const { target } = run.options;
  const session = http2.connect(`http${target.tls === true ? 's' : ''}://${target.host}:${target.port}`, { rejectUnauthorized: false });
  const connected = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => session.destroy(new Lost('timeout', `no session within ${run.deadlineMs} ms`)), run.deadlineMs);
    session.on('error', (error) => reject(lossOf(error, false)));
    session.on('close', () => {
      clearTimeout(timer);
      reject(new Lost('empty', 'closed before it was connected'));
    });
    session.once('connect', () => {
      clearTimeout(timer);
      run.counter.opened();
      resolve();
    });
  });
  return { session, connected };
}

async function request(run: Run, session: http2.ClientHttp2Session, token: string): Promise<{ status: number; text: string } | 'refused'> {
  return new Promise((resolve, reject) => {
    let status = 0;
    let ended = false;
    let failure: unknown = null;
    const pieces: Buffer[] = [];
    let stream: http2.ClientHttp2Stream;
    try {
      stream = session.request({ ':path': `/?token=${token}` });
    } catch {
      // The session closed between the look and the request: nothing was sent.
      resolve('refused');
      return;
    }
    const timer = setTimeout(() => stream.destroy(new Lost('timeout', `no answer within ${run.deadlineMs} ms`)), run.deadlineMs);
    stream.on('response', (headers) => {
      status = headers[':status'] ?? 0;
    });
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    stream.on('end', () => {
      ended = true;
    });
    stream.on('error', (error) => {
      failure = error;
    });
    stream.on('close', () => {
      clearTimeout(timer);
      if (stream.rstCode === REFUSED_STREAM) resolve('refused');
      else if (failure !== null) reject(lossOf(failure, status !== 0));
      else if (status === 0 || !ended || stream.rstCode !== 0)
        reject(new Lost(status === 0 ? 'empty' : 'torn', `stream closed, status ${status}, code ${stream.rstCode}`));
      else resolve({ status, text: Buffer.concat(pieces).toString() });
    });
  });
}
