/**
 * Makes a string from an app harmless on a terminal: escape sequences, other control characters and the ones that reorder text
 * (Trojan Source, CVE-2021-42574) are shown, not obeyed. ESC becomes ␛, so `␛[2J` is what is left of a screen clearing.
 *
 * For pipes and files nothing is changed: there the bytes are the data.
 */
import type { Style } from './style.ts';

const UNSAFE = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

export function visible(style: Style, text: string): string {
  if (!style.isTty) return text;
  /* A line that ends in \r\n is a line of a Windows habit, not an attempt to overwrite this one. */
  const line = text.endsWith('\r') ? text.slice(0, -1) : text;
  return line.replace(UNSAFE, picture);
}

/** Unicode's Control Pictures for C0 and DEL; the rest by number. */
function picture(character: string): string {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return '␡';
  return `<U+${code.toString(16).toUpperCase().padStart(4, '0')}>`;
}
