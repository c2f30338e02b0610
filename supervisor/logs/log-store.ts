/**
 * Apps' logs: one file per app and stream, written by the addon's thread straight from the workers' pipes. No log line passes through
 * this loop unless somebody follows it; then it is read back from the file.
 */
import { statSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import type { LogCopier } from '../../native/index.ts';
import type { Env } from '../env.ts';
import type { EventLog } from '../event-log.ts';
import { sayOf } from '../own-words.ts';
import type { AppConfig } from '../protocol/config.ts';
import type { LogItem, LogMark } from '../protocol/operations.ts';
import { LogFollower } from './log-follower.ts';
import { START, tail } from './log-tail.ts';
import { LogTroubles, type LogTrouble } from './log-troubles.ts';

export type { LogMark };
export type LogStream = 'out' | 'err';
const STREAMS = ['out', 'err'] as const;

interface StreamState {
  readonly id: number;
  readonly app: string;
  readonly stream: LogStream;
  readonly path: string;
  readonly slots: boolean;
}

/** One who follows; by path, so that a stream that is closed and opened again has the same follower. */
interface Follow {
  readonly app: string | null;
  readonly streams: readonly LogStream[];
  readonly onItem: (item: LogItem) => void;
  readonly marks: ReadonlyMap<string, LogMark>;
  readonly followers: Map<string, LogFollower>;
}

export class LogStore {
  readonly #env: Env;
  readonly #troubles: LogTroubles;
  readonly #copier: LogCopier;
  readonly #streams = new Map<number, StreamState>();
  readonly #follows = new Set<Follow>();
  #lastId = 0;
  #lastSource = 0;

  constructor(env: Env, events: EventLog) {
    this.#env = env;
    this.#troubles = new LogTroubles(env, events);
    this.#copier = new env.native.LogCopier({
      onGrown: (id) => this.#grown(this.#streams.get(id)?.path),
      onSourceEnd: () => {},
      onTrouble: (id, action, code) => {
        const state = this.#streams.get(id);
        if (state !== undefined) this.#troubles.set({ app: state.app, stream: state.stream, action, code });
      },
      onDropped: (id, reason, bytes) => {
        const state = this.#streams.get(id);
        if (state !== undefined) this.#troubles.dropped({ app: state.app, stream: state.stream, bytes, reason });
      },
    });
  }

  files(app: string): { out: string; err: string } {
    return { out: join(this.#env.paths.logs, `${app}-out.log`), err: join(this.#env.paths.logs, `${app}-err.log`) };
  }

  /** Opens an app's two files, both or neither; with other options after close(). Throws as open(2). */
  async open(app: string, options: AppConfig['logs']): Promise<void> {
    if (this.#of(app).length > 0) return;
    const files = this.files(app);
    try {
      for (const stream of STREAMS) this.#openStream(app, stream, files[stream], options);
      await Promise.all(STREAMS.map((stream) => chmod(files[stream], 0o600)));
    } catch (error) {
      this.close(app);
      throw error;
    }
  }

  /** The read ends of a slot's worker's pipes; both are duplicated. */
  attach(app: string, slot: number, out: number, err: number): void {
    for (const { id, stream, slots } of this.#of(app))
      this.#copier.addSource(id, ++this.#lastSource, stream === 'out' ? out : err, slots ? `${slot} ` : '');
  }

  /** What does not work now. */
  troublesOf(app: string): LogTrouble[] {
    return this.#troubles.of(app);
  }

  close(app: string): void {
    this.#troubles.forget(app);
    for (const { id, path } of this.#of(app)) {
      this.#copier.closeStream(id);
      this.#streams.delete(id);
      this.#grown(path);
    }
  }

  /** Every line now in the app's pipes is in its files when it resolves. */
  async flush(app: string): Promise<void> {
    await Promise.all(this.#of(app).map(({ id }) => this.#copier.flush(id)));
  }

  /** As flush(), and who follows the app has been told them. */
  async tellAll(app: string): Promise<void> {
    await this.flush(app);
    const paths = Object.values(this.files(app));
    const followers = [...this.#follows].flatMap((follow) => paths.map((path) => follow.followers.get(path)));
    await Promise.all(followers.map(async (follower) => follower?.caughtUp()));
  }

  /** The last lines of a stream, flushed first, of what it was rotated to as well; of those after `since`. */
  async lastLines(app: string, stream: LogStream, count: number, since: LogMark = START): Promise<string[]> {
    await this.flush(app);
    return tail(this.files(app)[stream], count, since).lines;
  }

  /** Where a stream ends now: what a later generation says comes after it. */
  async mark(app: string, stream: LogStream): Promise<LogMark> {
    await this.flush(app);
    return endOf(this.files(app)[stream]);
  }

  /**
   * Lines as they come, of one app or all, opened now or later. `onItem` is called in order; the answer stops it. A file in `marks` is
   * told from there on, another from its end.
   */
  follow(
    app: string | null,
    streams: readonly LogStream[],
    onItem: (item: LogItem) => void,
    marks: ReadonlyMap<string, LogMark> = new Map(),
  ): () => void {
    const follow: Follow = { app, streams, onItem, marks, followers: new Map() };
    this.#follows.add(follow);
    for (const state of this.#streams.values()) followStream(follow, state);
    return () => {
      this.#follows.delete(follow);
      for (const follower of follow.followers.values()) follower.stop();
    };
  }

  /** The supervisor's own words about an app: its log is stderr, which covet-init sends to supervisor.log. */
  say(app: string, text: string): void {
    sayOf(this.#env, app, text);
  }

  reopen(): void {
    this.#copier.reopen();
  }

  end(): void {
    this.#troubles.end();
    this.#copier.close();
  }

  #openStream(app: string, stream: LogStream, path: string, options: AppConfig['logs']): void {
    const state: StreamState = { id: ++this.#lastId, app, stream, path, slots: options.slots };
    this.#copier.openStream(state.id, path, {
      maxBytes: options.bytesMax,
      files: options.filesMax,
      timestamps: options.timestamps,
      stallMs: options.stallMs,
    });
    this.#streams.set(state.id, state);
    for (const follow of this.#follows) followStream(follow, state);
  }

  #grown(path: string | undefined): void {
    if (path !== undefined) for (const { followers } of this.#follows) followers.get(path)?.grown();
  }

  #of(app: string): StreamState[] {
    return [...this.#streams.values()].filter((state) => state.app === app);
  }
}

/** Begins to follow a stream that was opened, or goes on. Its file is there. */
function followStream({ app, streams, onItem, marks, followers }: Follow, state: StreamState): void {
  if ((app !== null && app !== state.app) || !streams.includes(state.stream)) return;
  let follower = followers.get(state.path);
  if (follower === undefined) {
    const end = endOf(state.path);
    const mark = marks.get(state.path) ?? end;
    // Marked before there was a file: all of it is new.
    const from = mark.ino === 0 ? { ino: end.ino, size: 0 } : mark;
    follower = new LogFollower(state.path, from, (line, at) =>
      onItem({ app: state.app, stream: state.stream, line, mark: at, isNew: true }),
    );
    followers.set(state.path, follower);
  }
  follower.grown();
}

function endOf(path: string): LogMark {
  const { ino = 0, size = 0 } = statSync(path, { throwIfNoEntry: false }) ?? {};
  return { ino, size };
}
