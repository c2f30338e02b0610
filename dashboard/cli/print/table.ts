/**
 * Rows of cells → aligned text that fits the terminal. Where the natural widths do not fit, columns marked `shrinksTo` are cut to
 * no less than that; where that does not help, columns leave in the order of `leaves`, and the last line says which. A pipe is infinitely
 * wide and cuts nothing.
 */
import { paint, type Paint, type Style } from './style.ts';
import { displayWidth, pad, truncate } from './width.ts';

export interface Column {
  readonly title: string;
  /** Numbers stand on the right. */
  readonly isNumber?: boolean;
  readonly shrinksTo?: number;
  /** 1 leaves first; without it the column always stays. */
  readonly leaves?: number;
}

export interface Cell {
  readonly text: string;
  readonly colour?: Paint | undefined;
}

const GUTTER = '  ';

/** One line a row, after the titles; each ends in a newline. */
export function table(columns: readonly Column[], rows: readonly (readonly Cell[])[], style: Style): string {
  const natural = columns.map((column, i) => Math.max(displayWidth(column.title), ...rows.map((row) => displayWidth(row[i]!.text))));
  const widths = fit(columns, natural, style.columns);
  const lines = [columns.map(({ title }): Cell => ({ text: title, colour: 'bold' })), ...rows].map((row) => {
    const cells = columns.flatMap((column, i) => (widths[i] === 0 ? [] : [cell(row[i]!, column, widths[i]!, style)]));
    return cells.join(GUTTER).trimEnd();
  });
  const left = columns.filter((_, i) => widths[i] === 0).map(({ title }) => title);
  if (left.length > 0) lines.push(paint(style, 'dim', truncate(`(no room: ${left.join(', ')})`, style.columns)));
  return `${lines.join('\n')}\n`;
}

function cell({ text, colour }: Cell, column: Column, width: number, style: Style): string {
  const cut = truncate(text, width);
  const padding = pad('', width - displayWidth(cut), 'right');
  const painted = paint(style, colour, cut);
  return column.isNumber ? padding + painted : painted + padding;
}

/** A width for each column, 0 for those that left. */
function fit(columns: readonly Column[], natural: readonly number[], available: number): number[] {
  const widths = [...natural];
  const least = (i: number) => Math.min(natural[i]!, columns[i]!.shrinksTo ?? natural[i]!);
  while (total(widths, least) > available) {
    const leaving = nextToLeave(columns, widths);
    if (leaving === -1) break;
    widths[leaving] = 0;
  }
  /* What is still too much is taken from the widest of those that may shrink, a column at a time: rows are few. */
  while (total(widths) > available) {
    const widest = widths.reduce((best, width, i) => (width > least(i) && width > (widths[best] ?? 0) ? i : best), -1);
    if (widest === -1) break;
    widths[widest]!--;
  }
  return widths;
}

function total(widths: readonly number[], widthOf: (i: number) => number = (i) => widths[i]!): number {
  const shown = widths.flatMap((width, i) => (width === 0 ? [] : [widthOf(i)]));
  return shown.reduce((sum, width) => sum + width, GUTTER.length * Math.max(0, shown.length - 1));
}

function nextToLeave(columns: readonly Column[], widths: readonly number[]): number {
  let next = -1;
  columns.forEach(({ leaves }, i) => {
    if (leaves !== undefined && widths[i] !== 0 && leaves < (columns[next]?.leaves ?? Infinity)) next = i;
  });
  return next;
}
