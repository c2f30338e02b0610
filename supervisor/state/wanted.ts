/**
 * What the operator wants to run, as a file: versioned, written whole to a new file, fsynced and renamed, 0600. Never rewritten by a
 * shutdown. A file that cannot be read is kept aside and said loudly; the version before it is used, and becomes the file again at once.
 */
import { constants } from 'node:fs';
import { copyFile, open, readFile, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as v from 'valibot';
import type { Launch } from '../apps/launch.ts';
import { appConfigSchema, type AppConfig } from '../protocol/config.ts';
import { CovetError } from '../protocol/errors.ts';
import { parseKnown } from '../protocol/known-fields.ts';

/** Of the file; a reader refuses what is newer than it knows. */
const STATE_VERSION = { min: 1, max: 1 } as const;

/** What one generation runs: resolved when it was made, whatever `current` points to later. */
export interface GenerationRecord {
  readonly number: number;
  /** Of the listeners' sockets. */
  readonly half: 0 | 1;
  readonly launch: Launch;
  readonly env: Readonly<Record<string, string>>;
}

export interface AppRecord {
  readonly config: AppConfig;
  /** Complete, as the workers get it; only a start or --update-env changes it. */
  readonly env: Readonly<Record<string, string>>;
  /** false after stop. */
  readonly isWanted: boolean;
  /** It is being deleted: the record goes when its workers have. */
  readonly isDeleting: boolean;
  /** The last generation number given out; never used twice. */
  readonly lastGeneration: number;
  /** The generation that serves; 0 before the first. Written before a flip is acted on. */
  readonly live: number;
  /** The one that serves, and the one that a reload brings up. */
  readonly generations: readonly GenerationRecord[];
}

/** Of a config's inner objects; what a later version has of its own elsewhere is kept, for an upgrade after a return. */
const IGNORED_MAX = 1_024;

const generationSchema = v.looseObject({
  number: v.pipe(v.number(), v.integer(), v.minValue(1)),
  half: v.picklist([0, 1]),
  launch: v.object({
    file: v.string(),
    args: v.array(v.string()),
    cwd: v.string(),
    isNode: v.boolean(),
    nodeVersion: v.string(),
    fingerprint: v.string(),
    scriptPath: v.string(),
  }),
  env: v.record(v.string(), v.string()),
});

const stateSchema = v.object({
  version: v.literal(1),
  apps: v.array(
    v.looseObject({
      config: v.looseObject(appConfigSchema.entries),
      env: v.record(v.string(), v.string()),
      isWanted: v.boolean(),
      isDeleting: v.optional(v.boolean(), false),
      lastGeneration: v.pipe(v.number(), v.integer(), v.minValue(0)),
      live: v.pipe(v.number(), v.integer(), v.minValue(0)),
      generations: v.optional(v.array(generationSchema), []),
    }),
  ),
});

export class WantedState {
  readonly #path: string;
  #records = new Map<string, AppRecord>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  get records(): ReadonlyMap<string, AppRecord> {
    return this.#records;
  }

  /** Reads the file, or the version before it. Answers with what was wrong, in words, or null. */
  async load(): Promise<string | null> {
    const current = await this.#read(this.#path);
    if (current instanceof Map) {
      this.#records = current;
      return null;
    }
    const previous = await this.#read(this.#previous);
    if (current === null && previous === null) return null;
    const problems = [current === null ? `${this.#path} is missing.` : await this.#keepAside(current)];
    if (typeof previous === 'string') problems.push(`${this.#previous} is not readable either: ${previous}.`);
    if (previous instanceof Map) {
      this.#records = previous;
      problems.push(`${this.#previous} is used.`);
      // Without a file there is no version before the next one: the save after that would take the last good one away.
      await this.#write(previous).catch((error: Error) => problems.push(error.message));
    }
    return problems.join(' ');
  }

  /**
   * Changes one record, as it is when its turn comes (null takes it out), and resolves with it when that is on disk. On failure nothing
   * changed. Throws COVET_ERR_STATE_WRITE.
   */
  save<R extends AppRecord | null>(name: string, change: (record: AppRecord | undefined) => R): Promise<R> {
    const saved = this.#turn.then(async () => this.#change(name, change));
    this.#turn = saved.catch(() => {});
    return saved;
  }

  async #change<R extends AppRecord | null>(name: string, change: (record: AppRecord | undefined) => R): Promise<R> {
    const record = change(this.#records.get(name));
    const next = new Map(this.#records);
    if (record === null) next.delete(name);
    else next.set(name, record);
    await this.#write(next);
    this.#records = next;
    return record;
  }

  get #previous(): string {
    return `${this.#path}.previous`;
  }

  async #keepAside(reason: string): Promise<string> {
    const kept = `${this.#path}.unreadable`;
    await rename(this.#path, kept);
    return new CovetError('COVET_ERR_STATE_READ', { path: this.#path, reason, kept }).message;
  }

  /** What the file holds, why it cannot be read, or null where there is none. */
  async #read(path: string): Promise<Map<string, AppRecord> | string | null> {
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
    try {
      const { apps } = parseKnown(stateSchema, JSON.parse(text), IGNORED_MAX).output;
      return new Map(apps.map((record) => [record.config.name, record]));
    } catch (error) {
      return (error as Error).message;
    }
  }

  async #write(records: ReadonlyMap<string, AppRecord>): Promise<void> {
    const next = `${this.#path}.next`;
    try {
      const file = await open(next, 'w', 0o600);
      try {
        await file.writeFile(JSON.stringify({ version: STATE_VERSION.max, apps: [...records.values()] }));
        await file.sync();
      } finally {
        await file.close();
      }
      const hasBefore = await copyFile(this.#path, this.#previous, constants.COPYFILE_FICLONE).then(() => true, ignoreAbsent);
      await rename(next, this.#path);
      // The first one is its own version before: it too may be spoilt. It is on disk whether or not there is room for this.
      if (hasBefore !== true) await copyFile(this.#path, this.#previous, constants.COPYFILE_FICLONE).catch(() => {});
      const folder = await open(dirname(this.#path), 'r');
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
    } catch (error) {
      await unlink(next).catch(ignoreAbsent);
      throw new CovetError('COVET_ERR_STATE_WRITE', { path: this.#path, reason: (error as Error).message }, { cause: error });
    }
  }
}

function ignoreAbsent(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
