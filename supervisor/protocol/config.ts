/**
 * What an app may be told: one schema with types, defaults and units. The CLI's flags, the control socket's `start`, the state
 * file and the typed client all take it; docs/config.md is generated from it. Faults that span fields: config-conflicts.ts.
 *
 * Durations are milliseconds, sizes bytes.
 */
import * as v from 'valibot';
import { LISTENERS_MAX, SLOTS_MAX } from './units.ts';

/** `all` is every app, wherever a command takes one. */
const APP_NAME = /^(?!all$)[a-zA-Z0-9][a-zA-Z0-9._@-]{0,63}$/;
const ENV_KEY = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** setTimeout's limit is 2^31-1; a day is enough for any of ours. */
const DAY_MS = 86_400_000;

/** Less is no room for a process. */
const MEMORY_BYTES_MIN = 1_048_576;
/** 256 TiB. */
const BYTES_MAX = 281_474_976_710_656;

export const count = (min: number, max: number) =>
  v.pipe(
    v.number(`an integer from ${min} to ${max}`),
    v.integer(`an integer from ${min} to ${max}`),
    v.minValue(min, `an integer from ${min} to ${max}`),
    v.maxValue(max, `an integer from ${min} to ${max}`),
  );
const duration = (max = DAY_MS) => count(0, max);
const text = (max = 4_096) =>
  v.pipe(
    v.string('a string'),
    v.maxLength(max, `at most ${max} characters`),
    v.check((s) => !s.includes('\0'), 'a string without a NUL byte'),
  );
export const oneOf = <const T extends readonly string[]>(values: T) => v.picklist(values, `one of ${values.join(', ')}`);
export const yesOrNo = v.boolean('true or false');
const described = <T extends v.GenericSchema>(schema: T, description: string) => v.pipe(schema, v.description(description));

const probe = v.strictObject({
  path: v.optional(v.pipe(text(), v.startsWith('/', 'a path that starts with /')), '/'),
  status: v.optional(v.array(count(100, 599), 'a list of status codes'), []),
  timeoutMs: v.optional(duration(), 5_000),
  consecutive: v.optional(count(1, 100), 1),
});

export const appConfigSchema = v.strictObject({
  name: described(
    v.pipe(v.string('a string'), v.regex(APP_NAME, 'letters, digits, and . _ @ - inside, at most 64, and not "all"')),
    'How every command names the app.',
  ),
  script: described(
    v.pipe(text(), v.minLength(1, 'a path or a program')),
    'The file to run, absolute or relative to `cwd`; a word that is no file there is a program of PATH. `npm` (pnpm, yarn) with the arguments `start` or `run <name>` is replaced by the plain node command in package.json, where it is one.',
  ),
  args: described(v.optional(v.array(text(131_071), 'a list of strings'), []), "The app's own arguments."),
  cwd: described(
    v.pipe(text(), v.startsWith('/', 'an absolute path')),
    'Working directory; by default the one that the command is run in.',
  ),
  interpreter: described(
    v.optional(text()),
    'The program that runs the script; `none` runs it directly. By default: node for .js .cjs .mjs .ts .mts .cts, python3 for .py, bash for .sh, ruby for .rb, perl for .pl, php for .php, else none.',
  ),
  nodeArgs: described(v.optional(v.array(text(), 'a list of strings'), []), 'Arguments of the interpreter, before the script.'),
  instances: described(
    v.optional(v.union([count(1, SLOTS_MAX), v.literal('max')], `an integer from 1 to ${SLOTS_MAX} or "max"`)),
    'How many workers; `max` is one per CPU this host grants. If given, the app runs in cluster mode.',
  ),
  execMode: described(
    v.optional(oneOf(['cluster', 'fork'])),
    'cluster: workers share lent sockets and see cluster.isWorker. fork: node:cluster is left alone. By default cluster when `instances` is given.',
  ),
  env: described(
    v.optional(v.record(v.pipe(v.string(), v.regex(ENV_KEY, 'a variable name')), text(131_071), 'an object of strings'), {}),
    "Set over the caller's environment.",
  ),
  listen: described(
    v.optional(v.pipe(v.array(text(), 'a list of addresses'), v.maxLength(LISTENERS_MAX, `at most ${LISTENERS_MAX} addresses`)), []),
    'Addresses opened before the first worker, `tcp://0.0.0.0:443`, `udp://0.0.0.0:53` or `unix:/run/app.sock`; also the privileged ports the app may ask for.',
  ),
  pin: described(
    v.optional(v.union([oneOf(['auto', 'on', 'none']), v.array(count(0, 4_095))], 'auto, on, none or a list of CPUs'), 'auto'),
    'CPU affinity of worker i. A list names only CPUs that the supervisor may use; on a host that has fewer of them later, nothing is pinned.',
  ),
  readiness: described(
    v.optional(oneOf(['auto', 'listen', 'signal']), 'auto'),
    "When a worker counts as ready. auto: at its first listen(), or, if it never listens, `minHealthyMs` after its import. listen: only at a listen(). signal: at process.send('ready'), or READY=1 by sd_notify(3).",
  ),
  probe: described(
    v.optional(probe),
    'An HTTP request to that very worker, before it counts as ready; any 2xx or 3xx unless `status` lists others.',
  ),
  readyTimeoutMs: described(v.optional(duration(), 60_000), 'A worker not ready by then has failed.'),
  minHealthyMs: described(
    v.optional(duration(), 1_000),
    'How long a new worker must stay ready before a start or a reload counts it as up.',
  ),
  startConcurrency: described(
    v.optional(count(1, SLOTS_MAX)),
    'How many workers start at the same time; by default one per CPU this host grants.',
  ),
  drainTimeoutMs: described(v.optional(duration(), 30_000), 'The longest a leaving worker may finish its connections.'),
  lameDuckMs: described(
    v.optional(duration(), 0),
    'After SIGTERM or SIGINT to covet-init, workers keep accepting this long before the drain, so that load balancers notice.',
  ),
  idleGraceMs: described(
    v.optional(duration()),
    "Idle connections that cannot be handed over are closed after this; by default the server's keepAliveTimeout.",
  ),
  handOver: described(
    v.optional(yesOrNo, true),
    'Give idle HTTP/1 connections to the new generation. Turn off when the app keeps state on sockets.',
  ),
  stopSignal: described(
    v.optional(oneOf(['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2']), 'SIGTERM'),
    'Sent after the drain; SIGINT instead of SIGTERM when the app handles only that.',
  ),
  killTimeoutMs: described(v.optional(duration(), 5_000), 'From the stop signal to SIGKILL.'),
  onlyOne: described(v.optional(yesOrNo, false), 'Never two generations at once: reload replaces one worker at a time.'),
  whenDown: described(v.optional(oneOf(['queue', 'refuse']), 'queue'), 'While no worker can take a connection: let it wait, or refuse it.'),
  queueMs: described(v.optional(duration(), 10_000), 'How long connections may wait for a successor before the listener refuses.'),
  restart: described(
    v.optional(
      v.strictObject({
        /** First and largest pause of the full-jitter backoff, and the life after which it starts anew. */
        delayMs: v.optional(duration(), 100),
        delayMaxMs: v.optional(duration(), 30_000),
        resetMs: v.optional(duration(), 60_000),
        /** Starts of a worker before the app was up, or in a row without being steady. */
        startsMax: v.optional(count(1, 100), 3),
        /** More crashes than this within `intensityMs` make the app degraded. */
        intensity: v.optional(count(1, 1_000), 5),
        intensityMs: v.optional(duration(), 60_000),
        /** Crashes within `intensityMs` that make it failed; null: never. */
        max: v.optional(v.nullable(count(1, 100_000)), null),
      }),
      {},
    ),
    'What follows a crash.',
  ),
  uid: described(v.optional(count(0, 4_294_967_294)), "The workers' user; needs a supervisor that is root."),
  gid: described(v.optional(count(0, 4_294_967_294)), "The workers' group; by default the user's own."),
  noFileMax: described(v.optional(count(64, 1_048_576)), 'RLIMIT_NOFILE of the workers; by default the hard limit.'),
  memoryMaxBytes: described(
    v.optional(count(MEMORY_BYTES_MIN, BYTES_MAX)),
    'The most memory for all its workers together; above it the kernel kills one (`oom`). Needs cgroup v2 (docs/cgroups.md), as the next two do.',
  ),
  memoryHighBytes: described(
    v.optional(count(MEMORY_BYTES_MIN, BYTES_MAX)),
    'Above this the kernel slows its workers down and reclaims memory; none is killed.',
  ),
  cpuWeight: described(
    v.optional(count(1, 10_000)),
    'Its share of CPU time when the CPUs are busy, relative to the other apps of this supervisor; 100 if not given.',
  ),
  logs: described(
    v.optional(
      v.strictObject({
        timestamps: v.optional(yesOrNo, false),
        /** The worker's slot before each line, behind its time. */
        slots: v.optional(yesOrNo, false),
        bytesMax: v.optional(count(0, 1_099_511_627_776), 10_000_000),
        filesMax: v.optional(count(0, 1_000), 10),
        /** A full disk holds the writers this long before lines are dropped, counted. */
        stallMs: v.optional(duration(), 1_000),
      }),
      {},
    ),
    'One file per app and stream, rotated at `bytesMax` (0: never), `filesMax` kept.',
  ),
  compileCache: described(v.optional(yesOrNo, true), 'NODE_COMPILE_CACHE for the workers, where Node has it.'),
  reuseportBpf: described(
    v.optional(oneOf(['auto', 'off']), 'auto'),
    'off: do not use the kernel program that picks among workers; the kernel then hashes over one socket per slot.',
  ),
});

/** As a caller writes it: everything with a default may be left out. */
export type AppInput = v.InferInput<typeof appConfigSchema>;
/** As everything else reads it: complete. */
export type AppConfig = v.InferOutput<typeof appConfigSchema>;
