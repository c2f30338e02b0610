/** The CovetError that `promise` rejects with. Throws when it resolves, or rejects with anything else. */
import assert from 'node:assert/strict';
import { CovetError } from '../../supervisor/protocol/errors.ts';

export async function rejection(promise: Promise<unknown>): Promise<CovetError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof CovetError) return error;
    throw error;
  }
  return assert.fail('Expected a rejection');
}
