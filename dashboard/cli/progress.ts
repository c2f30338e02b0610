/**
 * What a person sees while a long operation runs: after a second of silence, on a terminal, the latest word of the supervisor on
 * one line of stderr, which is wiped when the answer comes. Scripts see nothing.
 *
 * Ctrl-C ends the waiting, not the operation, and says so; a lost connection likewise.
 */
import { CovetError } from '../../supervisor/protocol/errors.ts';
import { EXIT_INTERRUPTED } from './failure.ts';
import { visible } from './print/visible.ts';
import { truncate } from './print/width.ts';
import { messageStyle, say } from './terminal.ts';

const SILENCE_MS = 1_000;
/** Carriage return, and erase the line (ECMA-48 EL). */
const WIPE = '\r\u001b[2K';

/** Runs `operation`, showing its progress; `verb` names it in the message of a Ctrl-C. */
export async function withProgress<T>(
  verb: string,
  isQuiet: boolean,
  operation: (onProgress: (text: string) => void) => Promise<T>,
): Promise<T> {
  const style = messageStyle(true);
  const isShown = style.isTty && !isQuiet;
  let text = `${verb}…`;
  let isVisible = false;
  const show = () => {
    isVisible = true;
    say(`${WIPE}${truncate(visible(style, text), style.columns - 1)}`);
  };
  const timer = isShown ? setTimeout(show, SILENCE_MS) : undefined;
  const wipe = () => {
    clearTimeout(timer);
    if (isVisible) say(WIPE);
    isVisible = false;
  };
  const interrupted = () => {
    wipe();
    say(`\`${verb}\` goes on in the supervisor; \`covet-pm list\` shows how it stands.\n`);
    process.exit(EXIT_INTERRUPTED);
  };
  process.once('SIGINT', interrupted);
  try {
    return await operation((latest) => {
      text = latest;
      if (isVisible) show();
    });
  } catch (error) {
    if (!(error instanceof CovetError) || error.code !== 'COVET_ERR_CONTROL_LOST') throw error;
    const detail = `${error.details['detail']}; \`covet-pm list\` shows how it stands`;
    throw new CovetError(error.code, { detail }, { cause: error.cause });
  } finally {
    process.off('SIGINT', interrupted);
    wipe();
  }
}
