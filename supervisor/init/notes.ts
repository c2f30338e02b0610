/**
 * What this supervisor wants its successor to know, kept by covet-init and so as lasting as the workers themselves. A note is written when
 * it changes, in order with every other request; nobody waits for it.
 */
import type { InitClient } from './init-client.ts';
import type { StateRecord } from './state.ts';

export class Notes {
  readonly #init: InitClient;
  readonly #texts = new Map<string, string>();
  readonly #onTrouble: (error: Error) => void;

  constructor(init: InitClient, onTrouble: (error: Error) => void) {
    this.#init = init;
    this.#onTrouble = onTrouble;
  }

  /** Those of the supervisor before this one. */
  adopt(texts: ReadonlyMap<string, string>): void {
    for (const [key, text] of texts) this.#texts.set(key, text);
  }

  /** What a note says, or null: none, or one that is no JSON. */
  read(key: string): unknown {
    const text = this.#texts.get(key);
    if (text === undefined) return null;
    try {
      return JSON.parse(text);
    } catch {
      return null;
    }
  }

  keys(): readonly string[] {
    return [...this.#texts.keys()];
  }

  /** All of them, for a covet-init that has to be told. */
  records(): StateRecord[] {
    return [...this.#texts].map(([key, text]) => ({ verb: 'note', fields: { key, text }, fds: [] }));
  }

  keep(key: string, value: object): void {
    this.#write(key, JSON.stringify(value));
  }

  drop(key: string): void {
    this.#write(key, '');
  }

  #write(key: string, text: string): void {
    if ((this.#texts.get(key) ?? '') === text) return;
    if (text === '') this.#texts.delete(key);
    else this.#texts.set(key, text);
    this.#init.request('note', { key, text }).catch(this.#onTrouble);
  }
}
