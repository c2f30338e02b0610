/** The C++ programs that drive native/acceptor/ without Node, built by scripts/build-test-programs.mjs (which build.mjs --tests runs). */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../../native/index.ts';

export type Variant = 'plain' | 'thread' | 'address';

export function testProgram(name: 'rescues' | 'rescue-rule', variant: Variant = 'plain'): string {
  return join(packageRoot(), 'build', 'test-native', variant, name);
}

/** Minutes where nothing is built yet, and nothing where it is. */
export function buildTestPrograms(variant: Variant): void {
  execFileSync(process.execPath, [join(packageRoot(), 'scripts', 'build-test-programs.mjs'), variant], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
