/**
 * An app's config as a caller wrote it → a complete one, or the first fault as a sentence: field, expected, got. The supervisor
 * judges again; here it is judged before a supervisor is started for it.
 */
import * as v from 'valibot';
import { appConfigSchema, type AppConfig, type AppInput } from '../../supervisor/protocol/config.ts';
import { CovetError, nearMatch } from '../../supervisor/protocol/errors.ts';
import { expectedOf, isUnknownField } from '../../supervisor/protocol/known-fields.ts';

/** Throws COVET_ERR_CONFIG_FIELD or COVET_ERR_CONFIG_UNKNOWN. */
export function checkConfig(input: Partial<Record<keyof AppInput, unknown>>): AppConfig {
  const result = v.safeParse(appConfigSchema, input);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const field = v.getDotPath(issue) ?? 'config';
  if (isUnknownField(issue)) {
    throw new CovetError('COVET_ERR_CONFIG_UNKNOWN', { field, near: nearMatch(field, Object.keys(appConfigSchema.entries)) });
  }
  throw new CovetError('COVET_ERR_CONFIG_FIELD', { field, expected: expectedOf(issue), got: shown(issue.input) });
}

/** `0` (number): the type too, since `"0"` and 0 look alike on a command line. */
function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? typeof value;
  return `\`${text.length > 80 ? `${text.slice(0, 80)}…` : text}\` (${Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value})`;
}
