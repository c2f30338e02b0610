/**
 * What of apps' logs does not work now: told as an event when it begins and when it is over, and by `doctor` meanwhile. On a full disk a
 * short line may fit where a long one did not: over is what has worked for a while; and what is dropped, many times a second, is summed.
 */
import type { Env, Timer } from '../env.ts';
import type { EventLog } from '../event-log.ts';
import type { LogAction } from '../protocol/events.ts';
import type { LogStream } from './log-store.ts';

/** Without a failure before it is said to work again. */
const WELL_MS = 5_000;
/** From one `log.dropped` of a stream to the next. */
const DROPPED_MS = 1_000;

export interface LogTrouble {
  readonly app: string;
  readonly stream: LogStream;
  readonly action: LogAction;
  /** errno's name. */
  readonly code: string;
}

export interface LogDrop {
  readonly app: string;
  readonly stream: LogStream;
  readonly bytes: number;
  /** errno's name. */
  readonly reason: string;
}

export class LogTroubles {
  readonly #env: Pick<Env, 'after'>;
  readonly #events: EventLog;
  readonly #troubles = new Map<string, LogTrouble>();
  readonly #wellSince = new Map<string, Timer>();
  readonly #drops = new Map<string, { next: LogDrop; readonly timer: Timer }>();

  constructor(env: Pick<Env, 'after'>, events: EventLog) {
    this.#env = env;
    this.#events = events;
  }

  of(app: string): LogTrouble[] {
    return [...this.#troubles.values()].filter((trouble) => trouble.app === app);
  }

  /** A code of '' is that it worked. */
  set(trouble: LogTrouble): void {
    const { app, stream, action, code } = trouble;
    const key = `${app} ${stream} ${action}`;
    this.#cancel(key);
    const known = this.#troubles.get(key);
    if (code === '') {
      if (known !== undefined)
        this.#wellSince.set(
          key,
          this.#env.after(WELL_MS, () => this.#recovered(key, known)),
        );
      return;
    }
    this.#troubles.set(key, trouble);
    if (known?.code !== code) this.#events.announce({ type: 'log.failed', app, stream, action, reason: code });
  }

  /** The first is told at once, those of the second after it together. */
  dropped(drop: LogDrop): void {
    const key = `${drop.app} ${drop.stream}`;
    const told = this.#drops.get(key);
    if (told === undefined) this.#tellDrop(key, drop);
    else told.next = { ...drop, bytes: told.next.bytes + drop.bytes };
  }

  /** Its logs are closed. */
  forget(app: string): void {
    for (const [key, { next }] of this.#drops) if (next.app === app) this.#endDrops(key);
    for (const [key, trouble] of this.#troubles) {
      if (trouble.app !== app) continue;
      this.#cancel(key);
      this.#troubles.delete(key);
    }
  }

  end(): void {
    for (const key of this.#drops.keys()) this.#endDrops(key);
    for (const key of this.#wellSince.keys()) this.#cancel(key);
  }

  #tellDrop(key: string, drop: LogDrop): void {
    this.#events.announce({ type: 'log.dropped', ...drop });
    const timer = this.#env.after(DROPPED_MS, () => {
      const next = this.#drops.get(key)?.next;
      this.#drops.delete(key);
      if (next !== undefined && next.bytes > 0) this.#tellDrop(key, next);
    });
    this.#drops.set(key, { next: { ...drop, bytes: 0 }, timer });
  }

  #endDrops(key: string): void {
    const told = this.#drops.get(key);
    told?.timer.cancel();
    this.#drops.delete(key);
    if (told !== undefined && told.next.bytes > 0) this.#events.announce({ type: 'log.dropped', ...told.next });
  }

  #recovered(key: string, { app, stream, action }: LogTrouble): void {
    this.#wellSince.delete(key);
    this.#troubles.delete(key);
    this.#events.announce({ type: 'log.recovered', app, stream, action });
  }

  #cancel(key: string): void {
    this.#wellSince.get(key)?.cancel();
    this.#wellSince.delete(key);
  }
}
