/** A host that lacks something, as a prefix of a command: test/fixtures/native/refuses.cc, which the kernel enforces on all that is started so. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { repositoryRoot } from './root.ts';

/** To be called in a suite: the program stays until its last test has ended its home. */
export function refusingHost(): (what: 'bpf' | 'ipv6' | 'pidfd_getfd' | 'io_uring') => readonly string[] {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'refuses-'));
    execFileSync('g++', ['-o', join(folder, 'refuses'), join(repositoryRoot(), 'test/fixtures/native/refuses.cc')]);
  });
  after(() => rmSync(folder, { recursive: true }));
  return (what) => [join(folder, 'refuses'), what];
}
