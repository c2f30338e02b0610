/**
 * The last lines of a log, read backwards from its end and on into what it was rotated to, until there are enough: right after a rotation
 * the file itself has few or none.
 */
import { closeSync, readSync } from 'node:fs';
import type { LogMark } from '../protocol/operations.ts';
import { openLogFile, openOlder, type OpenLogFile } from './log-files.ts';

/** Read for one tail, of all files: 100,000 lines of 160 bytes. */
const TAIL_BYTES_MAX = 16_777_216;
const PIECE_BYTES = 65_536;
const NEWLINE = 0x0a;

export const START: LogMark = { ino: 0, size: 0 };

/** Of the lines after `since`, where that file is still there; and the mark where they end. An absent log has none. */
export function tail(path: string, count: number, since: LogMark = START): { lines: string[]; mark: LogMark } {
  const newest = openLogFile(path);
  if (newest === null) return { lines: [], mark: START };
  const read = new BackwardRead(count, since);
  let file: OpenLogFile | null = newest;
  while (file !== null) {
    const { fd, ino }: OpenLogFile = file;
    try {
      read.file(file);
    } finally {
      closeSync(fd);
    }
    file = read.isEnough ? null : openOlder(path, ino);
  }
  return { lines: read.lines(), mark: { ino: newest.ino, size: newest.size } };
}

class BackwardRead {
  readonly #count: number;
  readonly #since: LogMark;
  /** Oldest first. */
  readonly #pieces: Buffer[] = [];
  #newlines = 0;
  #room = TAIL_BYTES_MAX;
  #isAtMark = false;

  constructor(count: number, since: LogMark) {
    this.#count = count;
    this.#since = since;
  }

  get isEnough(): boolean {
    // One newline more than lines: the oldest of them is whole then.
    return this.#isAtMark || this.#count === 0 || this.#newlines > this.#count || this.#room === 0;
  }

  file({ fd, ino, size }: OpenLogFile): void {
    // Smaller than it was: emptied in its place, and all of it is new.
    const isMarked = ino === this.#since.ino && size >= this.#since.size;
    const first = isMarked ? this.#since.size : 0;
    for (let end = size; end > first && !this.isEnough;) {
      const length = Math.min(PIECE_BYTES, this.#room, end - first);
      const buffer = Buffer.allocUnsafe(length);
      const piece = buffer.subarray(0, readSync(fd, buffer, 0, length, end - length));
      this.#pieces.unshift(piece);
      this.#room -= length;
      for (let at = piece.indexOf(NEWLINE); at !== -1; at = piece.indexOf(NEWLINE, at + 1)) this.#newlines++;
      end -= length;
    }
    this.#isAtMark = ino === this.#since.ino;
  }

  lines(): string[] {
    const text = Buffer.concat(this.#pieces).toString();
    if (text === '') return [];
    return (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n').slice(-this.#count);
  }
}
