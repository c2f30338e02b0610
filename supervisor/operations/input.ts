/** What a caller gives an operation, held against the operation's schema: the one place where a schema's complaint gets our code and words. */
import * as v from 'valibot';
import { CovetError } from '../protocol/errors.ts';
import { OPERATIONS, type OperationName, type OperationParsed } from '../protocol/operations.ts';

/** With defaults filled in. Throws COVET_ERR_CONFIG_FIELD, COVET_ERR_CONFIG_UNKNOWN. */
export function parseInput<N extends OperationName>(name: N, input: unknown): OperationParsed<N> {
  const parsed = v.safeParse(OPERATIONS[name].input, input ?? {});
  if (!parsed.success) throw inputError(parsed.issues[0]);
  return parsed.output;
}

function inputError(issue: v.BaseIssue<unknown>): CovetError {
  const field = v.getDotPath(issue) ?? 'params';
  if (issue.type === 'strict_object' && issue.expected === 'never') return new CovetError('COVET_ERR_CONFIG_UNKNOWN', { field, near: '' });
  // valibot's own words for a key that is not there are no sentence of ours.
  const expected = issue.type === 'strict_object' ? 'given' : issue.message;
  return new CovetError('COVET_ERR_CONFIG_FIELD', { field, expected, got: issue.received });
}
