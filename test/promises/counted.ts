/** What a worker of counts.cjs printed, as its log has it. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import type { Home } from './home.ts';

/** Every line of counts.cjs is whole, and no number of a worker's is missing. Answers with slot → its numbers in the log. */
export function assertCounted(home: Home, app: string): Map<string, number[]> {
  const lines = wholeLog(home.logFile('out', app)).split('\n').filter(Boolean);
  const torn = lines.filter((line) => !/^(count \d|listening) \d+$/.test(line));
  assert.deepEqual(torn, [], 'every line is whole');
  const bySlot = new Map<string, number[]>();
  for (const [, slot = '', count] of lines.map((line) => line.split(' ')).filter(([word]) => word === 'count')) {
    const counts = bySlot.get(slot) ?? [];
    // A line may be there twice, and a successor begins at 1.
    assert.ok(Number(count) <= (counts.at(-1) ?? 0) + 1, `slot ${slot}: ${count} follows ${counts.at(-1)}`);
    counts.push(Number(count));
    bySlot.set(slot, counts);
  }
  return bySlot;
}

/** With the files that it was rotated to, the oldest first. */
function wholeLog(path: string): string {
  const paths = [path];
  for (let n = 1; existsSync(`${path}.${n}`); n++) paths.unshift(`${path}.${n}`);
  return paths.map((each) => readFileSync(each, 'utf8')).join('');
}
