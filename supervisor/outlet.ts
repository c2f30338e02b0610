/**
 * One of `run`'s own streams, stdout or stderr, written line by line. While nobody reads it lines wait here, up to a bound; then they
 * are dropped until it is read again, counted, and that is said on stderr. The app never waits for our reader: its log has every line.
 */
import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Waiting for a reader, at most; a burst fits. */
const WAITING_CHARS_MAX = 16_777_216;
/** An empty line costs memory too. */
const WAITING_LINES_MAX = 100_000;
/** The longest an ended run waits for its reader. */
const END_MS = 2_000;

export class Outlet {
  readonly #name: string;
  readonly #stream: Writable;
  readonly #say: (text: string) => void;
  #isFull = false;
  #waiting: string[] = [];
  #waitingChars = 0;
  #dropped = 0;
  /** Its reader left (EPIPE). */
  #isGone = false;

  constructor(name: string, stream: Writable, say: (text: string) => void, onGone: () => void) {
    this.#name = name;
    this.#stream = stream;
    this.#say = say;
    stream.on('drain', () => this.#drained());
    stream.on('error', () => {
      this.#isGone = true;
      onGone();
    });
  }

  line(text: string): void {
    if (this.#isGone) return;
    if (!this.#isFull) return this.#write(`${text}\n`);
    if (this.#dropped === 0 && this.#waiting.length < WAITING_LINES_MAX && this.#waitingChars + text.length <= WAITING_CHARS_MAX) {
      this.#waiting.push(text);
      this.#waitingChars += text.length;
      return;
    }
    if (this.#dropped++ === 0) this.#say(`${this.#name} is not read: its lines are dropped until it is`);
  }

  /** Resolves when every line is written, or nobody took them in time: those count as dropped. */
  async end(): Promise<void> {
    if (this.#isGone) return;
    const isWritten = this.#written().then(() => true);
    let timer: NodeJS.Timeout | undefined;
    const isLate = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), END_MS)));
    if (!(await Promise.race([isWritten, isLate]))) this.#sayDropped(this.#waiting.length);
    clearTimeout(timer);
  }

  async #written(): Promise<void> {
    // Our own listener is the first: what waited is written when this one hears of it.
    while (this.#isFull) await once(this.#stream, 'drain');
    await new Promise((resolve) => this.#stream.write('', resolve));
  }

  #drained(): void {
    this.#isFull = false;
    this.#sayDropped(0);
    if (this.#waiting.length === 0) return;
    const text = `${this.#waiting.join('\n')}\n`;
    this.#waiting = [];
    this.#waitingChars = 0;
    this.#write(text);
  }

  #write(text: string): void {
    this.#isFull = !this.#stream.write(text);
  }

  #sayDropped(unread: number): void {
    const count = this.#dropped + unread;
    this.#dropped = 0;
    if (count > 0) this.#say(`${count} lines for ${this.#name} were dropped: it was not read`);
  }
}
