/** logs: an app's last lines, and those that follow. Of one app, or of all. */
import { tail, type LogMark, type LogStream } from '../logs/log-store.ts';
import type { SubscriptionHandler } from './handlers.ts';

export const logs: SubscriptionHandler<'logs'> = async ({ core }, { app, streams, lines, follow }, sink) => {
  const apps = app === undefined ? [...core.apps.keys()] : [core.app(app).name];
  const wanted: readonly LogStream[] = streams === 'both' ? ['out', 'err'] : [streams];
  await Promise.all(apps.map((name) => core.logs.flush(name)));
  // What follows begins where the tail ended, however long that took to be read: nothing lies between the two, and nothing is in both.
  const marks = new Map<string, LogMark>();
  for (const name of apps) {
    for (const stream of wanted) {
      const path = core.logs.files(name)[stream];
      const last = tail(path, lines);
      marks.set(path, last.mark);
      for (const line of last.lines) if (!sink.item({ app: name, stream, line })) await sink.room();
    }
  }
  if (follow) return core.logs.follow(app ?? null, wanted, sink.item, marks);
  sink.end();
  return () => {};
};
