/** A request for more workers than there are descriptors for is refused with the numbers. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { readDescriptorGrant } from '../../../supervisor/host/descriptor-grant.ts';
import { descriptorsOf, requireDescriptors } from '../../../supervisor/host/descriptor-policy.ts';

test('what fits beside the reserve is let through, one more is refused', () => {
  const grant = { limit: 256, open: 42 };
  assert.equal(descriptorsOf(15, 1), 150);
  requireDescriptors('web', 15, descriptorsOf(15, 1), grant);
  assert.throws(() => requireDescriptors('web', 16, descriptorsOf(16, 1), grant), {
    code: 'COVET_ERR_DESCRIPTORS',
    message:
      '`web` with 16 workers needs about 160 descriptors more, 150 are left of 256. Raise the limit (LimitNOFILE=, `ulimit -n`) or ask for fewer workers.',
  });
  assert.throws(() => requireDescriptors('web', 1, 8, { limit: 64, open: 60 }), {
    details: { app: 'web', workers: 1, need: 8, left: 0, limit: 64 },
  });
  requireDescriptors('web', 1_024, descriptorsOf(1_024, 8), { limit: Infinity, open: 42 });
});

test('what this process has is read', () => {
  const { limit, open } = readDescriptorGrant();
  assert.ok(limit > 0);
  assert.ok(Math.abs(open - readdirSync('/proc/self/fd').length) < 3);
});
