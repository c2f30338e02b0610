/** A LogCopier whose news can be awaited, and processes that write to it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync } from 'node:fs';
import { native, type LogAction, type LogCopier } from '../../native/index.ts';
import { fixture, makePipe } from './pipe.ts';

export interface StreamOptions {
  readonly maxBytes?: number;
  readonly files?: number;
  readonly timestamps?: boolean;
  readonly stallMs?: number;
}

export interface Trouble {
  readonly action: LogAction;
  /** '' for well again. */
  readonly code: string;
}

export class Copying {
  readonly copier: LogCopier;
  readonly troubles: Trouble[] = [];
  readonly dropped: { code: string; bytes: number }[] = [];
  readonly grown: { size: number; rotated: boolean }[] = [];
  readonly #ended = new Set<number>();
  readonly #waiting = new Set<() => void>();
  readonly #folder: string;
  #lastSource = 0;

  constructor(t: { after(clean: () => void): void }, folder: string) {
    this.#folder = folder;
    const wake = () => {
      for (const look of this.#waiting) look();
    };
    this.copier = new (native().LogCopier)({
      onGrown: (_, size, rotated) => {
        this.grown.push({ size, rotated });
        wake();
      },
      onSourceEnd: (_, source) => {
        this.#ended.add(source);
        wake();
      },
      onTrouble: (_, action, code) => {
        this.troubles.push({ action, code });
        wake();
      },
      onDropped: (_, code, bytes) => {
        this.dropped.push({ code, bytes });
        wake();
      },
    });
    t.after(() => this.copier.close());
  }

  openStream(id: number, path: string, options: StreamOptions = {}): void {
    this.copier.openStream(id, path, { maxBytes: 0, files: 3, timestamps: false, stallMs: 60_000, ...options });
  }

  /** A new pipe into the stream; the write end is the caller's. */
  pipe(stream: number): { source: number; write: number } {
    const { read, write } = makePipe(this.#folder);
    const source = ++this.#lastSource;
    this.copier.addSource(stream, source, read);
    closeSync(read);
    return { source, write };
  }

  /** A process of its own that writes numbered lines into the stream. */
  writer(stream: number, name: string, lines: number, bytes: number): { source: number; process: ChildProcess } {
    const { source, write } = this.pipe(stream);
    const writer = spawn(process.execPath, [fixture('writes-lines.mjs'), name, `${lines}`, `${bytes}`], {
      stdio: ['ignore', write, 'inherit'],
    });
    closeSync(write);
    return { source, process: writer };
  }

  /** Resolves when the news so far make `look` true. */
  async until(look: () => boolean): Promise<void> {
    // The copier by itself keeps no process alive.
    const alive = setInterval(() => undefined, 1_000);
    let check: () => void = () => undefined;
    await new Promise<void>((resolve) => {
      check = () => {
        if (look()) resolve();
      };
      this.#waiting.add(check);
      check();
    });
    this.#waiting.delete(check);
    clearInterval(alive);
  }

  /** Resolves when these sources are at their end and in the file. */
  async ended(...sources: readonly number[]): Promise<void> {
    await this.until(() => sources.every((source) => this.#ended.has(source)));
  }

  hasEnded(source: number): boolean {
    return this.#ended.has(source);
  }
}
