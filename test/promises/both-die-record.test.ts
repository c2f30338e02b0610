/** After the death of both, workers that serve on and cannot be told are not joined by doubles: whoever is asked to start anything refuses. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { killBoth, takeBack } from './both-die.ts';
import { said, Served } from './served.ts';
import { pickedCell } from './tier.ts';

const BROKEN: readonly (readonly [what: string, spoil: (text: string) => string, reason: RegExp])[] = [
  ['is cut off', (text) => text.slice(0, text.lastIndexOf('=')), /Expected key=value/],
  ['is of a later release', (text) => text.replace(' version=1 ', ' version=2 '), /expected version 1 to 1, got 2/],
];

describe('death of covet-init and its supervisor at once, whose record cannot be read', () => {
  for (const [what, spoil, reason] of BROKEN)
    test(
      `it ${what}: nothing is started, each command says why, and once it is mended the same workers are taken back`,
      pickedCell(
        what,
        BROKEN.map(([each]) => each),
      ),
      async (t) => {
        const served = await Served.start(t, { app: 'http.cjs' });
        const { home } = served;
        const pids = await home.pids();
        await killBoth(home);
        const path = join(home.path, 'run/held');
        const whole = readFileSync(path, 'utf8');
        try {
          writeFileSync(path, spoil(whole));
          for (const args of [['resurrect'], ['start', served.deployment.script, '--name', 'other'], ['kill']]) {
            const result = await home.covet(...args);
            assert.equal(result.code, 1, `${args.join(' ')}: ${said(result)}`);
            assert.match(result.stderr, /Cannot read in .*run\/held which workers of .* still serve: .*Nothing is started beside them/);
            assert.match(result.stderr, reason);
          }
          const list = await home.covet('list');
          assert.equal(list.code, 3, said(list));
          assert.match(list.stderr, /No supervisor runs for .*Cannot read in/);
          const { findings } = (await home.covet('doctor', '--json')).as('doctor');
          const [finding] = findings.filter(({ what: name }) => name === 'supervisor');
          assert.equal(finding?.level, 'warning');
          assert.match(finding.advice, reason);
          assert.deepEqual(
            home.processes().map(({ pid }) => pid),
            pids,
          );
        } finally {
          writeFileSync(path, whole);
        }
        await takeBack(home, pids);
      },
    );
});
