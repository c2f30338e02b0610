/**
 * Reads what was added to one log file, while somebody follows it. The addon says how long the file is; what lies between is read in
 * pieces, in order, and told line by line. A file that began anew is read from its start.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { statSync } from 'node:fs';

/** One read; a flooded log is followed in turns of the loop. */
const PIECE_BYTES = 262_144;

export class LogFollower {
  readonly #path: string;
  readonly #subscribers = new Set<(line: string) => void>();
  #file: FileHandle | null = null;
  #offset = 0;
  #size = 0;
  #partial = '';
  #isReading = false;
  #isRotated = false;

  constructor(path: string) {
    this.#path = path;
  }

  subscribe(onLine: (line: string) => void): () => void {
    if (this.#subscribers.size === 0) {
      this.#offset = this.#size = sizeOf(this.#path);
      this.#partial = '';
    }
    this.#subscribers.add(onLine);
    return () => {
      this.#subscribers.delete(onLine);
      if (this.#subscribers.size === 0) this.close();
    };
  }

  grown(size: number, rotated: boolean): void {
    this.#size = size;
    if (rotated) this.#isRotated = true;
    if (this.#subscribers.size > 0 && !this.#isReading) void this.#read();
  }

  close(): void {
    const file = this.#file;
    this.#file = null;
    void file?.close();
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    try {
      while (this.#subscribers.size > 0 && (this.#isRotated || this.#offset < this.#size)) {
        const file = (this.#file ??= await open(this.#path, 'r'));
        const { bytesRead, buffer } = await file.read(Buffer.alloc(PIECE_BYTES), 0, PIECE_BYTES, this.#offset);
        this.#offset += bytesRead;
        this.#tell(buffer.toString('utf8', 0, bytesRead));
        if (bytesRead === 0 && !this.#advance()) break;
      }
    } catch (error) {
      this.#tell(`covet-pm: cannot read ${this.#path}: ${(error as Error).message}\n`);
      this.#offset = this.#size;
    } finally {
      this.#isReading = false;
    }
  }

  /** At the end of the old file: on to the new one, if there is one. */
  #advance(): boolean {
    if (!this.#isRotated) return false;
    this.#isRotated = false;
    this.#offset = 0;
    this.close();
    return true;
  }

  #tell(text: string): void {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop() ?? '';
    for (const line of lines) for (const onLine of this.#subscribers) onLine(line);
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
