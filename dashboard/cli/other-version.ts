/**
 * A supervisor of another version works with this command, over the versioned protocol, and it is said once for each pair of versions: the last
 * pair that was said is kept in the home. What that supervisor ignored of a request is said each time.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { callerPaths, type OnOther } from '../connection.ts';
import { say } from './terminal.ts';
import { VERSION } from '../../supervisor/protocol/version.ts';

export const tellOther: OnOther = ({ version, ignored }) => {
  if (ignored.length > 0)
    say(`The supervisor, which is ${version}, does not know ${ignored.map((field) => `\`${field}\``).join(', ')}, ignoring it.\n`);
  if (isNews(`${VERSION} ${version}`))
    say(
      `The supervisor is ${version}, this command ${VERSION}: they work together. \`covet-pm upgrade\` makes the supervisor this version.\n`,
    );
};

function isNews(pair: string): boolean {
  const path = join(callerPaths().run, 'other-version');
  try {
    if (readFileSync(path, 'utf8') === pair) return false;
  } catch {
    // the first
  }
  try {
    // Renamed: the file may be another user's, in a folder that is ours.
    writeFileSync(`${path}.${process.pid}`, pair, { mode: 0o600 });
    renameSync(`${path}.${process.pid}`, path);
  } catch {
    // said again next time
  }
  return true;
}
