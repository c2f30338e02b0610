/** What a covet-init takes over of a state that a later release wrote. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startDaemon, temporaryFolder } from './init-harness.ts';

test('a descriptor of a line that it does not know is closed, unless a line that it knows has it too', async (t) => {
  const folder = temporaryFolder(t);
  const paths = ['unknown', 'known'].map((name) => join(folder, name));
  const inherited = paths.map((path) => openSync(path, 'w'));
  const state = 'init 0 version=1 ready=1 signal=0 later=1\nlater 0 what=ever fds=5,6\npage 0 index=0 fds=6\n';
  const { child, supervisor, exit } = await startDaemon(t, { folder, state, inherited });
  for (const fd of inherited) closeSync(fd);
  const { wire } = await supervisor();
  await wire.hello();
  const held = readdirSync(`/proc/${child.pid}/fd`).map((fd) => readlinkSync(`/proc/${child.pid}/fd/${fd}`));
  assert.deepEqual(
    paths.map((path) => held.includes(path)),
    [false, true],
  );
  wire.tell('quit', { code: 0 });
  await exit;
});
