/** CPU and memory of processes, however many ask at once. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { Sampler } from '../../../supervisor/metrics/sampler.ts';
import { eventually } from '../../promises/eventually.ts';
import { openFds } from '../../promises/processes.ts';

const ASKERS = 50;

test('asked by many at once it keeps no descriptor, and knows the process', async (t) => {
  const child = spawn('sleep', ['60']);
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  const pid = child.pid!;
  const sampler = new Sampler();
  await Promise.all(Array.from({ length: ASKERS }, async () => sampler.refresh([pid])));
  assert.ok(sampler.of(pid).rssBytes > 0);
  await eventually('no descriptor of it to be open', () => openFds(process.pid).every((fd) => !fd.includes(`/proc/${pid}/`)));
});

test('of a process that has ended it knows nothing, and of one that ends meanwhile it keeps nothing', async () => {
  const child = spawn('sleep', ['60']);
  await once(child, 'spawn');
  const pid = child.pid!;
  const sampler = new Sampler();
  const looking = sampler.refresh([pid]);
  sampler.forget(pid);
  await looking;
  const nothing = { cpuPercent: 0, rssBytes: 0 };
  assert.deepEqual(sampler.of(pid), nothing);
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  await sampler.refresh([pid]);
  assert.deepEqual(sampler.of(pid), nothing);
});
