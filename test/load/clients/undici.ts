/** undici's Pool, GET and POST in turn; and with four requests pipelined on each connection. */
import { createHash } from 'node:crypto';
import { Pool } from 'undici';
import { type Client, answerOf, loop, newToken, think } from '../run.ts';
import { Lost, lossOf } from '../tally.ts';

const PIPELINED = 4;

export const undici: Client = pooled(1);
export const undiciPipelining: Client = pooled(PIPELINED);

function pooled(pipelining: number): Client {
  return async (run) => {
    const { target, connections } = run.options;
    const pool = new Pool(`http${target.tls === true ? 's' : ''}://${target.host}:${target.port}`, {
      connections,
      pipelining,
      headersTimeout: run.deadlineMs,
      bodyTimeout: run.deadlineMs,
      connect: {
        rejectUnauthorized: false,
        timeout: run.deadlineMs,
        ...(target.socketPath === undefined ? {} : { socketPath: target.socketPath }),
      },
    });
    pool.on('connect', () => run.counter.opened());
    let turns = 0;
    const each = { ...run, options: { ...run.options, connections: connections * pipelining } };
    await loop(each, async () => {
      const token = newToken();
      const startedAtMs = performance.now();
      const body = turns++ % 2 === 0 ? null : `body of ${token}`;
      let began = false;
      run.counter.request();
      try {
        const response = await pool.request({
          method: body === null ? 'GET' : 'POST',
          path: body === null ? `/?token=${token}` : `/echo?token=${token}`,
          ...(body === null ? {} : { body, headers: { 'content-type': 'application/octet-stream' } }),
        });
        began = true;
        const answer = answerOf(response.statusCode, await response.body.text());
        if (body !== null && answer.sha1 !== createHash('sha1').update(body).digest('hex'))
          throw new Lost('body', `the app got ${answer.bytes ?? 'none'} of ${body.length} bytes`);
        run.counter.answer(answer, token, startedAtMs);
      } catch (error) {
        throw lossOf(error, began);
      }
      await think(run);
    });
    await pool.close();
  };
}
