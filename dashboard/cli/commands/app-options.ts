/** The flags that describe an app, put on `start` and `run`, and read back from them. */
import type { Command } from 'commander';
import * as v from 'valibot';
import { appConfigSchema } from '../../../supervisor/protocol/config.ts';
import type { AppOptions } from '../app-config.ts';
import { APP_FLAGS, setting } from '../app-flags.ts';
import type { Invocation } from './command.ts';

export function addAppFlags(to: Command): Command {
  for (const { flags, field, read, value } of APP_FLAGS) {
    const option = to.createOption(flags, flagSummary(field, value));
    /* A `--no-…` of commander would be true by default; undefined is "not given". */
    if (read !== undefined) option.argParser(read);
    to.addOption(option.default(undefined, read === undefined ? '' : defaultOf(field)));
  }
  return to
    .option('--set <field=value>', 'Any other field of docs/config.md; the value as JSON.', setting)
    .option('--config <file>', 'A JSON file with fields of docs/config.md; flags win over it.');
}

export function readAppFlags(script: string | undefined, to: Command, { appArgs }: Invocation): AppOptions {
  const fields: Record<string, unknown> = {};
  for (const { flags, field, value = true } of APP_FLAGS) {
    const option = to.options.find((candidate) => candidate.flags === flags)!;
    if (to.getOptionValueSource(option.attributeName()) !== 'cli') continue;
    fields[field] = option.required ? to.getOptionValue(option.attributeName()) : value;
  }
  const { set, config } = to.opts<{ set?: Record<string, unknown>; config?: string }>();
  return { usage: `covet-pm ${to.name()} ${to.usage()}`, script, args: appArgs, fields, settings: set, configFile: config };
}

/** As help shows it; '' where leaving the flag out means nothing that has a value. */
function defaultOf(field: string): string {
  const required = { name: 'app', script: 'app.js', cwd: '/' };
  if (field in required) return '';
  const defaults: unknown = v.parse(appConfigSchema, required);
  const value = field.split('.').reduce((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], defaults);
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/** The schema's own words; inside a group, the group's. */
function flagSummary(field: string, value: boolean | undefined): string {
  const own = SUMMARIES[field];
  if (own !== undefined) return own;
  const entry = appConfigSchema.entries[field.split('.')[0] as keyof typeof appConfigSchema.entries];
  const text = v.getDescription(entry) ?? '';
  return value === false ? `Not: ${text}` : text;
}

const SUMMARIES: Readonly<Record<string, string>> = {
  'probe.path': 'A path to request from each worker before it counts as ready.',
  'restart.delayMs': 'First pause of the backoff after a crash.',
  'restart.max': 'More crashes than this within a minute make the app failed; by default none do.',
  'logs.timestamps': 'An ISO time before each log line.',
  'logs.slots': "The worker's slot before each log line.",
  'logs.bytesMax': 'Log files are rotated at this size.',
  'logs.filesMax': 'Rotated log files that are kept.',
  env: "A variable set over the caller's environment; may be repeated.",
  listen: 'An address opened before the first worker, `tcp://0.0.0.0:443`, `udp://0.0.0.0:53` or `unix:/run/app.sock`; may be repeated.',
  pin: 'auto, on, none, or CPUs: `0,2,4-7`.',
  handOver: 'Do not give idle HTTP/1 connections to the new generation: the app keeps state on sockets.',
  compileCache: 'No NODE_COMPILE_CACHE for the workers.',
};
