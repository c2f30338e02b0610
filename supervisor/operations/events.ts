/** events: what happened, and what happens. */
import type { CovetEvent } from '../protocol/events.ts';
import type { SubscriptionHandler } from './handlers.ts';

export const events: SubscriptionHandler<'events'> = async ({ core }, { app, last, follow }, sink) => {
  for (const event of core.events.last(last, app)) sink.item(event);
  if (!follow) {
    sink.end();
    return () => {};
  }
  const onEvent = (event: CovetEvent): void => {
    if (app === undefined || ('app' in event && event.app === app)) sink.item(event);
  };
  core.events.on('event', onEvent);
  return () => core.events.off('event', onEvent);
};
