/**
 * What the printers know of the place they print to, as plain data: so that a test is a terminal of any width, with or without
 * colours. dashboard/cli/terminal.ts finds it out from the real one.
 */

export interface Style {
  /** Infinity where nothing is cut: a pipe or a file. */
  readonly columns: number;
  readonly isColoured: boolean;
  /** A terminal: what an app said must not steer it. */
  readonly isTty: boolean;
}

/** SGR (ECMA-48 8.3.117): the code that sets, and the one that undoes only that. */
const SGR = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  magenta: [35, 39],
  cyan: [36, 39],
} as const;

export type Paint = keyof typeof SGR;

export function paint(style: Style, colour: Paint | undefined, text: string): string {
  if (!style.isColoured || colour === undefined || text === '') return text;
  const [on, off] = SGR[colour];
  return `\u001b[${on}m${text}\u001b[${off}m`;
}
