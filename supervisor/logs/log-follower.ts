/**
 * Tells one subscriber what is added to one log file from a mark on, line by line and through rotation: path.2, path.1, path, each read
 * to its end. Between two looks it holds nothing but the mark: the file is found again by its inode, so that the stream may be closed
 * and opened meanwhile. What was rotated out of reach before it was read is said, never passed over.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';
import type { LogMark } from '../protocol/operations.ts';
import { inoOf, nameOf, placeOf } from './log-files.ts';

/** One read; a flooded log is followed in turns of the loop. */
const PIECE_BYTES = 262_144;
/** A line without an end is told in parts of this many characters, and up to a piece more. */
const LINE_CHARS_MAX = 1_048_576;
const NEWLINE = 0x0a;

export class LogFollower {
  readonly #path: string;
  readonly #onLine: (line: string, end: LogMark) => void;
  readonly #decoder = new StringDecoder('utf8');
  #ino: number;
  #offset: number;
  #partial = '';
  #trouble = '';
  #isBehind = false;
  #reading: Promise<void> | null = null;
  #isStopped = false;

  /** `onLine` is told where the line ends, too: another follower goes on from there. */
  constructor(path: string, from: LogMark, onLine: (line: string, end: LogMark) => void) {
    this.#path = path;
    this.#ino = from.ino;
    this.#offset = from.size;
    this.#onLine = onLine;
  }

  /** There may be more to read, in this file or in the one after it. */
  grown(): void {
    this.#isBehind = true;
    this.#reading ??= this.#read();
  }

  /** Resolves when all that was in the log by now is told. */
  async caughtUp(): Promise<void> {
    this.grown();
    await this.#reading;
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #read(): Promise<void> {
    try {
      while (this.#isBehind && !this.#isStopped) {
        this.#isBehind = false;
        while (await this.#readFile());
      }
      this.#trouble = '';
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.#trouble) this.#say(`cannot read ${this.#path}: ${message}, retrying when it grows`);
      this.#trouble = message;
    } finally {
      this.#reading = null;
    }
  }

  /** To the end of the mark's file. True when there is another to look at. */
  async #readFile(): Promise<boolean> {
    const place = placeOf(this.#path, this.#ino);
    if (place < 0) return this.#skip();
    const file = await openIfThere(nameOf(this.#path, place));
    if (file === null) return true;
    try {
      const { ino, size } = await file.stat();
      if (ino !== this.#ino) return true; // rotated since we looked
      if (size < this.#offset) this.#offset = 0; // emptied in its place
      await this.#readToEnd(file);
    } finally {
      await file.close();
    }
    return place > 0 && !this.#isStopped && this.#advance(place);
  }

  async #readToEnd(file: FileHandle): Promise<void> {
    while (!this.#isStopped) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(PIECE_BYTES), 0, PIECE_BYTES, this.#offset);
      if (bytesRead === 0) return;
      const bytes = buffer.subarray(0, bytesRead);
      const ends = lineEnds(bytes, this.#offset);
      this.#offset += bytesRead;
      this.#tell(this.#decoder.write(bytes), ends);
    }
  }

  /** On to the file that was begun after this one. False while that is still to be made: its growth is told. */
  #advance(place: number): boolean {
    const next = inoOf(nameOf(this.#path, place - 1));
    // The other way about, a rotation between the two looks would have us pass over a file.
    if (inoOf(nameOf(this.#path, place)) !== this.#ino) return true;
    if (next === 0) return false;
    this.#ino = next;
    this.#offset = 0;
    return true;
  }

  #skip(): boolean {
    const ino = inoOf(this.#path);
    if (ino === 0) return false;
    this.#say(`${this.#path} was replaced, and the file before it is gone: lines may be missing here`);
    this.#ino = ino;
    this.#offset = 0;
    return true;
  }

  #say(text: string): void {
    this.#tell(`${this.#partial === '' ? '' : '\n'}covet-pm: ${text}\n`);
  }

  /** `ends` are of the lines that end in `text`; what else is told ends where it was read to. */
  #tell(text: string, ends: readonly number[] = []): void {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop() ?? '';
    if (this.#partial.length > LINE_CHARS_MAX) {
      lines.push(this.#partial);
      this.#partial = '';
    }
    for (const [i, line] of lines.entries()) if (!this.#isStopped) this.#onLine(line, { ino: this.#ino, size: ends[i] ?? this.#offset });
  }
}

/** Behind each newline of `bytes`, which begin at `offset`. */
function lineEnds(bytes: Buffer, offset: number): number[] {
  const ends: number[] = [];
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) ends.push(offset + at + 1);
  return ends;
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
