/** argv → a command the fast path knows, or null: then the full CLI reads it again, and says what is wrong with it if anything is. */

const VERBS = {
  list: 'list',
  ls: 'list',
  l: 'list',
  ps: 'list',
  status: 'list',
  jlist: 'jlist',
  ping: 'ping',
  describe: 'describe',
  health: 'health',
  stop: 'stop',
  restart: 'restart',
  reload: 'reload',
} as const;

export interface FastCommand {
  readonly verb: (typeof VERBS)[keyof typeof VERBS];
  /** Empty for the verbs that take none, and for `health` of all. */
  readonly app: string;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly noColour: boolean;
  readonly workers: boolean;
}

export function readFast(argv: readonly string[]): FastCommand | null {
  const words: string[] = [];
  const flags = { json: false, quiet: false, noColour: false, workers: false };
  for (const argument of argv) {
    if (argument === '--json') flags.json = true;
    else if (argument === '-q' || argument === '--quiet') flags.quiet = true;
    else if (argument === '--no-color') flags.noColour = true;
    else if (argument === '--workers') flags.workers = true;
    else if (argument.startsWith('-') || argument === '') return null;
    else words.push(argument);
  }
  const [name = '', app = '', ...more] = words;
  if (!Object.hasOwn(VERBS, name) || more.length > 0) return null;
  const verb = VERBS[name as keyof typeof VERBS];
  const takesApp = verb !== 'list' && verb !== 'jlist' && verb !== 'ping';
  const isAppRight = verb === 'health' || takesApp === (app !== '');
  if (!isAppRight || (app === 'all' && verb !== 'describe') || (flags.workers && verb !== 'list')) return null;
  return { verb, app, ...flags };
}
