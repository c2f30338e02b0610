/** node's http.Agent with keep-alive, GET and POST in turn. It does not retry. */
import http from 'node:http';
import https from 'node:https';
import { createHash } from 'node:crypto';
import { type Client, type Run, answerOf, loop, newToken, think } from '../run.ts';
import { Lost, lossOf } from '../tally.ts';

export const agent: Client = async (run) => {
  const { target, connections } = run.options;
  const pool = new (target.tls === true ? https : http).Agent({
    keepAlive: true,
    maxSockets: connections,
    ...(target.tls === true ? { rejectUnauthorized: false } : {}),
  });
  const seen = new WeakSet();
  let turns = 0;
  await loop(run, async () => {
    const token = newToken();
    const startedAtMs = performance.now();
    const body = turns++ % 2 === 0 ? null : `body of ${token}`;
    run.counter.request();
    const { status, text } = await request(run, pool, token, body, (socket) => {
      if (seen.has(socket)) return;
      seen.add(socket);
      run.counter.opened();
    });
    const answer = answerOf(status, text);
    if (body !== null && answer.sha1 !== createHash('sha1').update(body).digest('hex'))
      throw new Lost('body', `the app got ${answer.bytes ?? 'none'} of ${body.length} bytes`);
    run.counter.answer(answer, token, startedAtMs);
    await think(run);
  });
  pool.destroy();
};

async function request(
  run: Run,
  pool: http.Agent,
  token: string,
  body: string | null,
  onSocket: (socket: object) => void,
): Promise<{ status: number; text: string }> {
  const { target } = run.options;
  return new Promise((resolve, reject) => {
    let began = false;
    const outgoing = (target.tls === true ? https : http).request({
      agent: pool,
      ...(target.socketPath === undefined ? { host: target.host, port: target.port } : { socketPath: target.socketPath }),
      method: body === null ? 'GET' : 'POST',
      path: body === null ? `/?token=${token}` : `/echo?token=${token}`,
      headers: body === null ? {} : { 'content-type': 'application/octet-stream', 'content-length': Buffer.byteLength(body) },
    });
    const timer = setTimeout(() => outgoing.destroy(new Lost('timeout', `no answer within ${run.deadlineMs} ms`)), run.deadlineMs);
    const fail = (error: unknown): void => {
      clearTimeout(timer);
      reject(lossOf(error, began));
    };
    outgoing.on('socket', onSocket).on('error', fail);
    outgoing.on('response', (response) => {
      began = true;
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece)).on('error', fail);
      response.on('end', () => {
        clearTimeout(timer);
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString() });
      });
    });
    outgoing.end(body ?? undefined);
  });
}
