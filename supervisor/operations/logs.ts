/** logs: an app's last lines, and those that follow. Of one app, or of all. */
import type { LogStream } from '../logs/log-store.ts';
import { tail } from '../logs/log-tail.ts';
import type { LogMark } from '../protocol/operations.ts';
import type { SubscriptionHandler } from './handlers.ts';

export const logs: SubscriptionHandler<'logs'> = async ({ core }, { app, streams, lines, follow, after }, sink) => {
  const apps = app === undefined ? [...core.apps.keys()] : [core.app(app).name];
  const wanted: readonly LogStream[] = streams === 'both' ? ['out', 'err'] : [streams];
  await Promise.all(apps.map((name) => core.logs.flush(name)));
  // What follows begins where the tail ended, however long that took to be read: nothing lies between the two, and nothing is in both.
  const marks = new Map<string, LogMark>();
  for (const name of apps) {
    for (const stream of wanted) {
      const path = core.logs.files(name)[stream];
      const known = after.find((from) => from.app === name && from.stream === stream);
      const { lines: last, mark } = known === undefined ? tail(path, lines) : { lines: [], mark: known.mark };
      marks.set(path, mark);
      for (const line of last) if (!sink.item({ app: name, stream, line, ...(follow ? { mark } : {}) })) await sink.room();
    }
  }
  if (follow) return core.logs.follow(app ?? null, wanted, (item) => sink.item(item), marks);
  sink.end();
  return () => {};
};
