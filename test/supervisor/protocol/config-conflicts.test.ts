/** Which addresses a config may list. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppConfig } from '../../../supervisor/protocol/config.ts';
import { checkConflicts } from '../../../supervisor/protocol/config-conflicts.ts';

const listing = (address: string): AppConfig =>
  ({ name: 'web', listen: [address], minHealthyMs: 0, readyTimeoutMs: 1, onlyOne: false }) as unknown as AppConfig;

for (const address of ['443', ':443', 'tcp://0.0.0.0:443', 'udp://[::]:53', 'unix:/run/app.sock', 'unix:/run/app/0'])
  test(`${address} is an address`, () => assert.doesNotThrow(() => checkConflicts(listing(address), 0)));

for (const address of ['0', ':0', ':00', 'tcp://0.0.0.0:0', 'tcp://0.0.0.0:00', 'udp://[::]:0', 'foo', 'unix:app.sock', '70000', ''])
  test(`${JSON.stringify(address)} is none`, () =>
    assert.throws(() => checkConflicts(listing(address), 0), { code: 'COVET_ERR_CONFIG_FIELD' }));
