/**
 * The one table of errors: code → message and exit code. A message says what was expected, what was got and what to do.
 * docs/errors.md is generated from it (scripts/docs.mjs) and a test keeps the two in step.
 *
 * `{name}` in a template is filled from the error's details.
 */

export const EXIT = { done: 0, failed: 1, usage: 2, noSupervisor: 3, deadline: 124, runFailed: 125 } as const;

export const ERRORS = {
  COVET_ERR_USAGE_COMMAND: { exit: EXIT.usage, message: 'Unknown command `{got}`{near}. `covet-pm --help` lists them.' },
  COVET_ERR_USAGE_FLAG: {
    exit: EXIT.usage,
    message: 'Unknown option `{got}` for `{command}`{near}. `covet-pm {command} --help` lists them.',
  },
  COVET_ERR_USAGE_VALUE: { exit: EXIT.usage, message: 'Expected `{option}` to be {expected}, got {got}.' },
  COVET_ERR_USAGE_MISSING: { exit: EXIT.usage, message: 'Expected {expected}. Usage: {usage}' },
  COVET_ERR_CONFIG_FIELD: { exit: EXIT.usage, message: 'Expected `{field}` to be {expected}, got {got}.' },
  COVET_ERR_CONFIG_UNKNOWN: { exit: EXIT.usage, message: 'Unknown field `{field}`{near}. docs/config.md lists them.' },
  COVET_ERR_CONFIG_CONFLICT: { exit: EXIT.usage, message: '{reason}' },
  COVET_ERR_SUPERVISOR_ABSENT: { exit: EXIT.noSupervisor, message: 'No supervisor runs for {home}. {advice}' },
  COVET_ERR_SUPERVISOR_DOWN: {
    exit: EXIT.failed,
    message: 'covet-init runs as pid {pid}, but its supervisor does not answer: see {log}. {advice}',
  },
  COVET_ERR_SUPERVISOR_START: { exit: EXIT.failed, message: 'The supervisor did not start: {reason}' },
  COVET_ERR_LEFT_UNREADABLE: {
    exit: EXIT.failed,
    message:
      'Cannot read in {path} which workers of {home} still serve: {reason}. Nothing is started beside them. Mend the file; or end them (`grep -ls COVET_APP= /proc/[0-9]*/environ` finds workers) and remove it.',
  },
  COVET_ERR_SUPERVISOR_STOPPING: {
    exit: EXIT.failed,
    message: 'The supervisor is stopping; it takes no more work. Start it again with `covet-pm resurrect`.',
  },
  COVET_ERR_SUPERVISOR_SAFE: {
    exit: EXIT.failed,
    message:
      'The supervisor died several times within a minute and is in safe mode: it starts nothing. `covet-pm doctor` says what was under way, `covet-pm resurrect` leaves safe mode.',
  },
  COVET_ERR_SUPERVISOR_VERSION: {
    exit: EXIT.failed,
    message: 'This covet-pm speaks control protocol {ours}, the running supervisor {theirs}. Use the version that started it.',
  },
  COVET_ERR_SUPERVISOR_FOREIGN: {
    exit: EXIT.failed,
    message:
      'The home {home} is closed to you: it belongs to uid {owner}, you are uid {uid}. Run as that user, or set COVET_HOME to a home of your own.',
  },
  COVET_ERR_UPGRADE: { exit: EXIT.failed, message: 'Cannot upgrade: {reason}.' },
  COVET_ERR_SYSTEMD: { exit: EXIT.failed, message: 'Nothing is set up with systemd: {reason}' },
  COVET_ERR_HOME_UNUSABLE: {
    exit: EXIT.failed,
    message: 'Cannot use {home} as COVET_HOME: {reason}. Set COVET_HOME to a directory you own and can write.',
  },
  COVET_ERR_HOME_PATH: {
    exit: EXIT.failed,
    message: 'The control socket path would be {bytes} bytes ({path}), a Unix socket takes 107. Set COVET_HOME to a shorter path.',
  },
  COVET_ERR_NATIVE_MISSING: { exit: EXIT.failed, message: '{reason}' },
  COVET_ERR_APP_EXISTS: { exit: EXIT.failed, message: 'An app named `{app}` exists already ({status}). {advice}' },
  COVET_ERR_APP_UNKNOWN: { exit: EXIT.failed, message: 'No app named `{app}`{near}. `covet-pm list` shows them.' },
  COVET_ERR_APP_BUSY: {
    exit: EXIT.failed,
    message: '`{app}` is {doing}; {verb} is refused until that ends. `covet-pm list` shows its progress.',
  },
  COVET_ERR_APP_NOT_RUNNING: {
    exit: EXIT.failed,
    message: '`{app}` is {status}; there is nothing to {verb}. `covet-pm start {app}` starts it.',
  },
  COVET_ERR_APP_LIMIT: {
    exit: EXIT.failed,
    message: 'Expected at most {max} apps, this would be one more. `covet-pm delete` one, or give it a supervisor of its own (COVET_HOME).',
  },
  COVET_ERR_DESCRIPTORS: {
    exit: EXIT.failed,
    message:
      '`{app}` with {workers} workers needs about {need} descriptors more, {left} are left of {limit}. Raise the limit (LimitNOFILE=, `ulimit -n`) or ask for fewer workers.',
  },
  COVET_ERR_CGROUP: {
    exit: EXIT.failed,
    message:
      '`{field}` of `{app}` needs a cgroup v2 tree that is delegated to covet-pm: {why}. `covet-pm doctor` says what to do; without `{field}` it starts.',
  },
  COVET_ERR_APP_PROBE: {
    exit: EXIT.failed,
    message:
      'Expected `listen` of `{app}` to have a TCP address by bpf, on which the kernel steers its `probe` to one worker of {program}, got {got}. Without `probe` it starts.',
  },
  COVET_ERR_APP_SCRIPT: { exit: EXIT.failed, message: 'Cannot run {path}: {reason}. {advice}' },
  COVET_ERR_APP_FAILED: { exit: EXIT.failed, message: '`{app}` failed: {reason}' },
  COVET_ERR_APP_TYPESCRIPT: {
    exit: EXIT.failed,
    message:
      'Cannot run {path}: Node {node} does not strip types (22.18 does) and tsx is not installed in {cwd}. Use a newer Node, or `npm install tsx` there.',
  },
  COVET_ERR_RELOAD_FAILED: {
    exit: EXIT.failed,
    message: 'Reload of `{app}` to generation {generation} failed: {reason} {rest}',
  },
  COVET_ERR_RELOAD_ENDED: { exit: EXIT.failed, message: 'Reload of `{app}` ended by {by}.' },
  COVET_ERR_STATE_WRITE: { exit: EXIT.failed, message: 'Could not save {path}: {reason}. Nothing was changed.' },
  COVET_ERR_STATE_READ: { exit: EXIT.failed, message: '{path} is not readable as state: {reason}. It was kept as {kept}.' },
  COVET_ERR_CONTROL_FRAME: { exit: EXIT.failed, message: 'Expected a JSON-RPC 2.0 request of at most {max} bytes a line, got {got}.' },
  COVET_ERR_CONTROL_METHOD: { exit: EXIT.failed, message: 'Unknown operation `{got}`{near}.' },
  COVET_ERR_CONTROL_PEER: {
    exit: EXIT.failed,
    message: 'Uid {uid} may not use this supervisor, which belongs to uid {owner}. Run as that user, or root.',
  },
  COVET_ERR_CONTROL_REQUESTS: {
    exit: EXIT.failed,
    message:
      'Expected at most {max} requests and subscriptions at once on a connection, this would be one more. Wait for one to end, or connect again.',
  },
  COVET_ERR_CONTROL_CLIENTS: {
    exit: EXIT.failed,
    message:
      'Expected at most {max} clients of the supervisor at once, this would be one more. End some (`logs -f`, `events -f`), and try again.',
  },
  COVET_ERR_CONTROL_LOST: { exit: EXIT.failed, message: 'The connection to the supervisor ended before it answered{detail}.' },
  COVET_ERR_DEADLINE: { exit: EXIT.deadline, message: '{what} did not end within {ms} ms.' },
  COVET_ERR_STDOUT: { exit: EXIT.failed, message: 'Cannot write to stdout: {reason}.' },
  COVET_ERR_INTERNAL: { exit: EXIT.failed, message: 'This should not happen: {reason}. Please report it with `covet-pm doctor --json`.' },
} as const satisfies Record<`COVET_ERR_${string}`, { exit: number; message: string }>;

export type ErrorCode = keyof typeof ERRORS;
export type ErrorDetails = Readonly<Record<string, string | number>>;

/** An operating error of the table. `details` fill the message and travel over the control socket with `code`. */
export class CovetError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  override readonly name = 'CovetError';

  constructor(code: ErrorCode, details: ErrorDetails = {}, options?: { cause?: unknown }) {
    super(fill(ERRORS[code].message, details), options);
    this.code = code;
    this.details = details;
  }

  get exitCode(): number {
    return ERRORS[this.code].exit;
  }
}

/** What `find` finds of the compiled parts. Throws COVET_ERR_NATIVE_MISSING. */
export function nativePart<T>(find: () => T): T {
  try {
    return find();
  } catch (error) {
    throw new CovetError('COVET_ERR_NATIVE_MISSING', { reason: (error as Error).message }, { cause: error });
  }
}

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERRORS, code);
}

/**
 * ` Did you mean `x`?` for the nearest of `known`, else nothing; for the `{near}` of a message. A word of three to five letters may have one
 * slip, a longer one two, a shorter one none: of two letters any other two are near. Letters swapped, left out, added or mistaken are a slip.
 */
export function nearMatch(got: string, known: Iterable<string>): string {
  let best = '';
  let least = Infinity;
  for (const candidate of known) {
    const letters = Math.max(...[got, candidate].map((word) => word.replace(/^-+/, '').length));
    const slipsMax = letters < 3 ? 0 : letters < 6 ? 1 : 2;
    if (Math.abs(got.length - candidate.length) > slipsMax) continue;
    const slips = slipsBetween(got, candidate);
    if (slips <= slipsMax && slips < least) [best, least] = [candidate, slips];
  }
  return best === '' ? '' : `. Did you mean \`${best}\`?`;
}

function fill(template: string, details: ErrorDetails): string {
  return template.replace(/\{(\w+)\}/g, (_, key: string) => String(details[key] ?? '')).replace('?.', '?');
}

function slipsBetween(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const slips = [row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)];
      next[j] = Math.min(...slips, isSwapped ? before[j - 2]! + 1 : Infinity);
    }
    [before, row] = [row, next];
  }
  return row[b.length]!;
}
