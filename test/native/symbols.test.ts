/** The addon loads where Node does: what it asks of the C and C++ libraries is as old as theirs. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { binary } from '../../native/index.ts';

const GLIBC_MAX = [2, 28]; // Debian 10, RHEL 8
const GLIBCXX_MAX = [3, 4, 21]; // GCC 5: Node's own floor

test('the addon asks for nothing newer than glibc 2.28 and the libstdc++ of GCC 5', () => {
  const symbols = execFileSync('objdump', ['-T', binary('covet.node')], { encoding: 'utf8' });
  const above = (name: string, limit: readonly number[]) =>
    [...new Set(symbols.match(new RegExp(`\\b${name}_[0-9.]+`, 'g')))].filter((version) => {
      const parts = version
        .slice(name.length + 1)
        .split('.')
        .map(Number);
      const differs = parts.findIndex((part, i) => part !== (limit[i] ?? 0));
      return differs >= 0 && (parts[differs] ?? 0) > (limit[differs] ?? 0);
    });
  assert.match(symbols, /GLIBC_2/);
  assert.deepEqual(above('GLIBC', GLIBC_MAX), []);
  assert.deepEqual(above('GLIBCXX', GLIBCXX_MAX), []);
});
