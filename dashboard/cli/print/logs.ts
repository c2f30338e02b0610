/** A log line: alone for one app, behind a coloured name where several are mixed. */
import type { LogItem } from '../../../supervisor/protocol/operations.ts';
import { paint, type Paint, type Style } from './style.ts';
import { visible } from './visible.ts';
import { pad } from './width.ts';

const NAME_COLOURS: readonly Paint[] = ['cyan', 'green', 'magenta', 'blue', 'yellow'];

/** Prints the lines of one subscription: apps get their colour in the order they first speak, names the width of the longest so far. */
export class LogPrinter {
  readonly #style: Style;
  readonly #isPrefixed: boolean;
  readonly #colours = new Map<string, Paint>();
  #width = 0;

  constructor(style: Style, isPrefixed: boolean) {
    this.#style = style;
    this.#isPrefixed = isPrefixed;
  }

  print({ app, stream, line }: LogItem): string {
    const text = `${visible(this.#style, line)}\n`;
    if (!this.#isPrefixed) return text;
    const name = visible(this.#style, app);
    this.#width = Math.max(this.#width, name.length);
    const bar = paint(this.#style, stream === 'err' ? 'red' : 'dim', '|');
    return `${paint(this.#style, this.#colourOf(app), pad(name, this.#width, 'right'))} ${bar} ${text}`;
  }

  #colourOf(app: string): Paint {
    let colour = this.#colours.get(app);
    if (colour === undefined) {
      colour = NAME_COLOURS[this.#colours.size % NAME_COLOURS.length]!;
      this.#colours.set(app, colour);
    }
    return colour;
  }
}
