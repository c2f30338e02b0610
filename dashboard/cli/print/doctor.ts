/** `doctor`: a line a finding, with what to do beneath those that are not well. */
import type { DoctorView } from '../../../supervisor/protocol/operations.ts';
import { paint, type Style } from './style.ts';
import { visible } from './visible.ts';
import { pad } from './width.ts';

const MARKS = { ok: ['✔', 'green'], note: ['•', 'cyan'], warning: ['!', 'yellow'] } as const;

export function printDoctor({ findings }: DoctorView, style: Style): string {
  const width = Math.max(0, ...findings.map(({ what }) => what.length));
  return findings
    .map(({ level, what, found, advice }) => {
      const [mark, colour] = MARKS[level];
      const line = `${paint(style, colour, mark)} ${pad(what, width, 'right')}  ${visible(style, found)}\n`;
      return advice === '' ? line : `${line}  ${' '.repeat(width)}  ${paint(style, 'dim', visible(style, advice))}\n`;
    })
    .join('');
}
