/**
 * The flags of `start` and `run`: one row each, from the flag to the config field it sets. Descriptions come from the schema, so
 * help, docs/cli.md and docs/config.md say the same. Fields without a flag of their own are reached by `--set field=json`.
 *
 * Values are only read here, not judged: `-i abc` becomes the text "abc", which the schema then refuses by the field's name.
 */
import { CovetError } from '../../supervisor/protocol/errors.ts';

interface AppFlag {
  /** As commander writes them. */
  readonly flags: string;
  /** Dotted where the field is inside another. */
  readonly field: string;
  /** Text of one use, and what earlier uses came to → the value. Absent: a switch. */
  readonly read?: (text: string, before: unknown) => unknown;
  /** What a switch sets; true by default. */
  readonly value?: boolean;
}

export const APP_FLAGS: readonly AppFlag[] = [
  { flags: '-n, --name <name>', field: 'name', read: asIs },
  { flags: '-i, --instances <count>', field: 'instances', read: number },
  { flags: '--cwd <folder>', field: 'cwd', read: asIs },
  { flags: '--env <KEY=value>', field: 'env', read: variable },
  { flags: '--interpreter <program>', field: 'interpreter', read: asIs },
  { flags: '--node-args <arguments>', field: 'nodeArgs', read: words },
  { flags: '--exec-mode <mode>', field: 'execMode', read: asIs },
  { flags: '--listen <address>', field: 'listen', read: collect },
  { flags: '--pin <cpus>', field: 'pin', read: cpus },
  { flags: '--readiness <how>', field: 'readiness', read: asIs },
  { flags: '--probe <path>', field: 'probe.path', read: asIs },
  { flags: '--ready-timeout <ms>', field: 'readyTimeoutMs', read: number },
  { flags: '--min-healthy <ms>', field: 'minHealthyMs', read: number },
  { flags: '--start-concurrency <count>', field: 'startConcurrency', read: number },
  { flags: '--drain-timeout <ms>', field: 'drainTimeoutMs', read: number },
  { flags: '--lame-duck <ms>', field: 'lameDuckMs', read: number },
  { flags: '--idle-grace <ms>', field: 'idleGraceMs', read: number },
  { flags: '--no-hand-over', field: 'handOver', value: false },
  { flags: '--stop-signal <signal>', field: 'stopSignal', read: asIs },
  { flags: '--kill-timeout <ms>', field: 'killTimeoutMs', read: number },
  { flags: '--only-one', field: 'onlyOne' },
  { flags: '--when-down <how>', field: 'whenDown', read: asIs },
  { flags: '--queue <ms>', field: 'queueMs', read: number },
  { flags: '--restart-delay <ms>', field: 'restart.delayMs', read: number },
  { flags: '--max-restarts <count>', field: 'restart.max', read: number },
  { flags: '--uid <uid>', field: 'uid', read: number },
  { flags: '--gid <gid>', field: 'gid', read: number },
  { flags: '--nofile <count>', field: 'noFileMax', read: number },
  { flags: '--memory-max <bytes>', field: 'memoryMaxBytes', read: number },
  { flags: '--memory-high <bytes>', field: 'memoryHighBytes', read: number },
  { flags: '--cpu-weight <weight>', field: 'cpuWeight', read: number },
  { flags: '--timestamps', field: 'logs.timestamps' },
  { flags: '--log-slots', field: 'logs.slots' },
  { flags: '--log-bytes <bytes>', field: 'logs.bytesMax', read: number },
  { flags: '--log-files <count>', field: 'logs.filesMax', read: number },
  { flags: '--no-compile-cache', field: 'compileCache', value: false },
  { flags: '--reuseport-bpf <mode>', field: 'reuseportBpf', read: asIs },
];

/** `--set restart.resetMs=5000`: any field, its value as JSON, or as text where it is none. */
export function setting(text: string, before: unknown): unknown {
  const [field, value] = pair('--set', 'field=value', text);
  const fields = (before ?? {}) as Record<string, unknown>;
  return { ...fields, [field]: parsed(value) };
}

/** Puts `value` at a dotted path of `config`, making what is missing on the way. */
export function setField(config: Record<string, unknown>, path: string, value: unknown): void {
  const [first = '', ...rest] = path.split('.');
  if (rest.length === 0) {
    config[first] = value;
    return;
  }
  const inner = config[first];
  const copy: Record<string, unknown> = typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? { ...inner } : {};
  config[first] = copy;
  setField(copy, rest.join('.'), value);
}

function asIs(text: string): string {
  return text;
}

/** A number where it is one; `max`, and what is wrong, stay text. */
export function number(text: string): number | string {
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

function collect(text: string, before: unknown): string[] {
  return [...((before ?? []) as string[]), text];
}

function variable(text: string, before: unknown): Record<string, string> {
  const [key, value] = pair('--env', 'KEY=value', text);
  return { ...(before as Record<string, string> | undefined), [key]: value };
}

/** `auto`, `on`, `none`, or CPUs as the kernel writes them: `0,2,4-7`. */
function cpus(text: string): string | number[] {
  if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text)) return text;
  return text.split(',').flatMap((part) => {
    const [first = 0, last = first] = part.split('-').map(Number);
    return Array.from({ length: Math.min(Math.max(0, last - first + 1), CPUS_MAX) }, (_, i) => first + i);
  });
}

/** Bounds what `0-4000000000` may grow to before the schema refuses it. */
const CPUS_MAX = 4_097;

function pair(option: string, expected: string, text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new CovetError('COVET_ERR_USAGE_VALUE', { option, expected: `\`${expected}\``, got: `\`${text}\`` });
  return [text.slice(0, at), text.slice(at + 1)];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
