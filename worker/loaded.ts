/**
 * When the app's entry has been evaluated: until then even a build that throws at import lives.
 *
 * A CommonJS entry is evaluated before the loop first turns. An ES module may await at its top level: then our own import() of the same
 * file, which Node is loading already, ends when that one does. It must never be the first, or the app would not be the entry of
 * its process; so where other code runs before the entry, or decides which file that is, the first turn of the loop has to do.
 */
import { realpathSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** Of node, in any of its spellings: code before the entry, another way to find the entry, or none. */
const OTHER_ENTRY =
  /(?:^|\s)(?:--(?:import|require|loader|experimental-loader|preserve-symlinks-main|eval|print|experimental-(?:default-)?config-file)\b|-(?:r|e|p|pe)(?=\s|$))/;

/** To be called before the entry. `tell` is called once, and never when the entry throws what nobody catches. */
export function whenLoaded(tell: () => void): void {
  const isPlain = !OTHER_ENTRY.test(`${process.execArgv.join(' ')} ${process.env['NODE_OPTIONS'] ?? ''}`);
  const [, script] = process.argv;
  // Referenced: an app that waits for something else would not let an unreferenced one run.
  setImmediate(() => {
    const entry = isPlain && process.mainModule === undefined && script !== undefined ? urlOf(script) : null;
    if (entry === null) return tell();
    // An entry that throws ends the process in this turn of the loop, unless the app catches that: then it goes on, loaded.
    const later = (): void => void setImmediate(tell);
    import(entry).then(later, later);
  });
}

function urlOf(script: string): string | null {
  try {
    return pathToFileURL(realpathSync(script)).href;
  } catch {
    return null; // standard input, or a name without its ending
  }
}
