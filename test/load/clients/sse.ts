/**
 * c EventSource-like streams: events must be whole and numbered without a gap, and a stream may end only with the last chunk of
 * its coding; then the client opens the next one. An end without it is torn.
 */
import { type Client, loop, newToken } from '../run.ts';
import { Lost } from '../tally.ts';
import { Wire } from '../wire.ts';

const EVENT = /^data: (\{.*\})$/;

export const sse: Client = async (run) =>
  loop(run, async () => {
    const { counter, options, deadlineMs, stopping } = run;
    const token = newToken();
    counter.request();
    const wire = await Wire.open(options.target, deadlineMs);
    counter.opened();
    let last = 0;
    let text = '';
    let wrong: Lost | null = null;
    let stalled = false;
    const stall = setTimeout(() => {
      stalled = true;
      wire.close();
    }, deadlineMs);
    const leave = (): void => wire.close();
    try {
      wire.write(`GET /events?token=${token} HTTP/1.1\r\nHost: load\r\nAccept: text/event-stream\r\n\r\n`);
      if (stopping.aborted) throw new Lost('timeout', 'stopped before it began');
      stopping.addEventListener('abort', leave);
      const { status } = await wire.response({
        deadlineMs: 2_147_483_647, // a stream lives as long as it is fed; `stall` watches that it is
        onBody: (piece) => {
          stall.refresh();
          text += piece.toString();
          for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
            const data = EVENT.exec(text.slice(0, end))?.[1];
            text = text.slice(end + 2);
            if (data === undefined) continue; // retry:, a comment
            const event = JSON.parse(data) as { i: number; pid: number; build: string; token: string };
            if (event.i !== last + 1) wrong ??= new Lost('body', `event ${event.i} after ${last}`);
            last = event.i;
            counter.request();
            counter.answer({ ...event, slot: null, n: event.i }, token, performance.now());
          }
        },
      });
      if (status !== 200) throw new Lost('status', String(status));
      if (text !== '') throw new Lost('torn', `half an event: ${JSON.stringify(text.slice(0, 80))}`);
      if (wrong !== null) throw wrong;
      counter.cleanEnd();
    } catch (error) {
      if (stalled) throw new Lost('timeout', `no event for ${deadlineMs} ms`);
      if (!stopping.aborted) throw error;
    } finally {
      clearTimeout(stall);
      stopping.removeEventListener('abort', leave);
      wire.close();
    }
    counter.answered(performance.now());
  });
