/** A worker that cannot be started for want of descriptors is told in a sentence; the supervisor lives on and tries again. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { spawnWorker, warmSpawn } from '../../../supervisor/slots/spawn.ts';

const LIMIT = 256;

test('without a descriptor to spare a spawn answers with why, and nothing is thrown past it', async (t) => {
  await warmSpawn();
  const limits = /^Max open files +(\d+) +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))!;
  const setLimit = (soft: number | string): void => {
    spawnSync('prlimit', ['--pid', String(process.pid), `--nofile=${soft}:${limits[2]}`]);
  };
  const [out, err, report] = [0, 0, 0].map(() => openSync('/dev/null', 'r+')) as [number, number, number];
  setLimit(LIMIT);
  const taken: number[] = [];
  t.after(() => {
    for (const fd of [...taken, out, err, report]) closeSync(fd);
    setLimit(limits[1]!);
  });
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'EMFILE');
  }
  const answer = await spawnWorker({
    ...{ file: process.execPath, args: ['-e', '0'], cwd: '/', env: {}, out, err, report, fds: [] },
    ...{ listenFds: 0, uid: null, gid: null, noFileMax: null, cpus: null, cgroup: null },
  });
  assert.match(answer ?? '', /^covet-exec could not be run: .*EMFILE/);
  for (const fd of taken.splice(0)) closeSync(fd);
});
