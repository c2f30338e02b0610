/** logs: an app's last lines, and those that follow. Of one app, or of all. */
import { tail, type LogStream } from '../logs/log-store.ts';
import type { SubscriptionHandler } from './handlers.ts';

export const logs: SubscriptionHandler<'logs'> = async ({ core }, { app, streams, lines, follow }, sink) => {
  const apps = app === undefined ? [...core.apps.keys()] : [core.app(app).name];
  const wanted: readonly LogStream[] = streams === 'both' ? ['out', 'err'] : [streams];
  await Promise.all(apps.map((name) => core.logs.flush(name)));
  // Following begins before the tail is read, and what the tail holds is told first: nothing lies between the two.
  const early: Parameters<typeof sink.item>[0][] = [];
  let isLive = false;
  const stop = follow ? core.logs.follow(app ?? null, wanted, (item) => (isLive ? sink.item(item) : early.push(item))) : () => {};
  for (const name of apps) {
    for (const stream of wanted)
      for (const line of tail(core.logs.files(name)[stream], lines).lines) sink.item({ app: name, stream, line });
  }
  for (const item of early) sink.item(item);
  isLive = true;
  if (!follow) sink.end();
  return stop;
};
