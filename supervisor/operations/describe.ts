/** describe: one app in full. Environment values only for who asks for them. */
import type { Handler } from './handlers.ts';
import { appView, refreshSamples } from './views.ts';

const LAST_LINES = 10;
const LAST_EVENTS = 20;

export const describeApp: Handler<'describe'> = async ({ core }, { app: name, showEnv }) => {
  const app = core.app(name);
  await refreshSamples(core, [app]);
  const { env: _hidden, ...config } = app.config;
  const { lameDuckMs, drainTimeoutMs, killTimeoutMs } = app.config;
  return {
    ...appView(core, app),
    apiVersion: 1,
    config,
    env: showEnv ? app.record.env : Object.keys(app.record.env).sort(),
    mode: app.mode,
    reload: app.reloadMode,
    stopTimeoutMs: lameDuckMs + drainTimeoutMs + killTimeoutMs,
    pin: { on: app.pins.on, why: app.pins.why },
    listeners: core.registry.of(name).map((listener) => listener.view()),
    lastExit: app.lastExit,
    logs: { ...core.logs.files(name), lastLines: await core.logs.lastLines(name, 'err', LAST_LINES) },
    events: core.events.last(LAST_EVENTS, name),
  };
};
