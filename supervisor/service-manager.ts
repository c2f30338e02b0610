/**
 * What a service manager (systemd) is told while it runs covet-init: that the control plane answers, how the apps stand, and how long an end may
 * take. covet-init passes it on (native/init/service.h); without a manager none of this happens.
 */
import type { Timer } from './env.ts';
import type { AppStatus } from './protocol/states.ts';
import type { SupervisorCore } from './supervisor.ts';

/** How often `alive` is said within the time that the manager waits for it. */
const ALIVE_WITHIN_WATCHDOG = 4;
/** Between changes and the line that tells of them: a reload is many. */
const STATUS_DELAY_MS = 100;
/** Above the longest lame duck, drain and kill of an app: for what surrounds them. */
const STOP_MARGIN_MS = 10_000;

export class ServiceManager {
  readonly #core: SupervisorCore;
  #status = '';
  #statusTimer: Timer | null = null;

  constructor(core: SupervisorCore) {
    this.#core = core;
  }

  /** After covet-init was greeted. */
  begin(): void {
    const { init, events } = this.#core;
    if (!init.isService) return;
    if (init.watchdogMs > 0) this.#sayAlive(init.watchdogMs / ALIVE_WITHIN_WATCHDOG);
    events.on('event', () => (this.#statusTimer ??= this.#core.env.after(STATUS_DELAY_MS, () => this.#tellStatus())));
    this.#tellStatus();
  }

  /** Before everything is stopped: the manager waits for as long as the slowest app may take. */
  stopping(): void {
    const { init, apps } = this.#core;
    if (!init.isService) return;
    const ends = [...apps.values()].map(({ config }) => config.lameDuckMs + config.drainTimeoutMs + config.killTimeoutMs);
    const longest = Math.max(0, ...ends);
    init.tell('stopping', { ms: String(longest + STOP_MARGIN_MS) });
  }

  /** From this loop, so that a supervisor which hangs is not taken for one that works. */
  #sayAlive(everyMs: number): void {
    this.#core.init.tell('alive');
    this.#core.env.after(everyMs, () => this.#sayAlive(everyMs));
  }

  #tellStatus(): void {
    this.#statusTimer = null;
    const text = statusLine([...this.#core.apps.values()].map((app) => app.status));
    if (text === this.#status) return;
    this.#status = text;
    this.#core.init.tell('status', { text });
  }
}

/** "3 apps online, 1 reloading", the most frequent first. */
export function statusLine(statuses: readonly AppStatus[]): string {
  const counts = new Map<AppStatus, number>();
  for (const status of statuses) counts.set(status, (counts.get(status) ?? 0) + 1);
  const parts = [...counts].sort(([, a], [, b]) => b - a).map(([status, count]) => ({ status, count }));
  const [first, ...rest] = parts;
  if (first === undefined) return 'no apps';
  const noun = first.count === 1 ? 'app' : 'apps';
  return [`${first.count} ${noun} ${first.status}`, ...rest.map(({ status, count }) => `${count} ${status}`)].join(', ');
}
