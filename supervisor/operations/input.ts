/** What a caller gives an operation, held against the operation's schema: the one place where a schema's complaint gets our code and words. */
import * as v from 'valibot';
import { CovetError } from '../protocol/errors.ts';
import { expectedOf, isUnknownField, parseKnown, type Known } from '../protocol/known-fields.ts';
import { OPERATIONS, type OperationName, type OperationParsed } from '../protocol/operations.ts';

/** What a caller of another version gives beyond what this one knows. */
const IGNORED_MAX = 16;

/**
 * As parseInput, less the fields that only the caller's version knows. What is asked for an app in its `config` is no such field: an app that
 * runs without what was asked for it is worse than one that does not.
 */
export function parseOtherInput<N extends OperationName>(name: N, input: unknown): Known<OperationParsed<N>> {
  const schema: v.GenericSchema<unknown, OperationParsed<N>> = OPERATIONS[name].input;
  try {
    return parseKnown(schema, input ?? {}, IGNORED_MAX, ([first]) => first !== 'config');
  } catch (error) {
    throw error instanceof v.ValiError ? inputError(error.issues[0]) : error;
  }
}

/** With defaults filled in. Throws COVET_ERR_CONFIG_FIELD, COVET_ERR_CONFIG_UNKNOWN. */
export function parseInput<N extends OperationName>(name: N, input: unknown): OperationParsed<N> {
  const parsed = v.safeParse(OPERATIONS[name].input, input ?? {});
  if (!parsed.success) throw inputError(parsed.issues[0]);
  return parsed.output;
}

function inputError(issue: v.BaseIssue<unknown>): CovetError {
  const field = v.getDotPath(issue) ?? 'params';
  if (isUnknownField(issue)) return new CovetError('COVET_ERR_CONFIG_UNKNOWN', { field, near: '' });
  return new CovetError('COVET_ERR_CONFIG_FIELD', { field, expected: expectedOf(issue), got: issue.received });
}
