/**
 * Nothing of the preload reaches a child of the app, however it is started and however the preload got there; the app itself sees none of
 * it either. Each kind of child is compared with what it is in plain node.
 */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { FakeSupervisor, fixture, preload, type WorkerOptions } from './harness.ts';

const CONTRACT = ['COVET_APP', 'COVET_GENERATION', 'COVET_SLOT', 'NODE_APP_INSTANCE'];
/** cluster.fork() is an app's in fork mode only: in cluster mode it is a worker itself. */
const KINDS = ['fork', 'spawn', 'shell', 'execa', 'cluster', 'thread'];

for (const mode of ['fork', 'cluster'] as const) {
  for (const how of ['argv', 'options'] as const) {
    for (const kind of KINDS.filter((one) => mode === 'fork' || one !== 'cluster')) {
      test(`a child by ${kind} gets nothing of the preload, by ${how}, ${mode} mode`, async (t) => {
        const plain = await told(t, kind, { preload: 'none', nodeArgs: ['--no-warnings'] });
        const child = await told(t, kind, { mode, preload: how, nodeArgs: ['--no-warnings'], env: { LISTEN_PID: '1', LISTEN_FDS: '1' } });
        // A thread is part of the worker: it listens on lent sockets too.
        assert.deepEqual(child, { ...plain, isPreloaded: kind === 'thread', env: [...CONTRACT, ...plain['env']].sort() });
      });
    }
  }
}

test('options of the app in NODE_OPTIONS stay', async (t) => {
  const worker = FakeSupervisor.for(t).spawn(fixture('worker/tells-of-itself.cjs'), {
    preload: 'options',
    env: {
      NODE_OPTIONS: `--no-warnings --require "${preload}" --stack-trace-limit=20`,
    },
  });
  const [, text = ''] = await worker.line(/^(\{.*\})$/m);
  const { options, isPreloaded } = JSON.parse(text) as { options: string; isPreloaded: boolean };
  assert.equal(isPreloaded, true);
  assert.equal(options, '--no-warnings --stack-trace-limit=20');
});

test('a process that covet-exec did not mean is left alone', async (t) => {
  const worker = FakeSupervisor.for(t).spawn(fixture('worker/tells-of-itself.cjs'), { shell: 'COVET_WORKER=1 exec "$@"' });
  const [, text = ''] = await worker.line(/^(\{.*\})$/m);
  assert.equal((JSON.parse(text) as { isPreloaded: boolean }).isPreloaded, false);
  assert.deepEqual(worker.messages, []);
});

async function told(t: TestContext, kind: string, options: WorkerOptions): Promise<Record<string, never> & { env: string[] }> {
  const worker = FakeSupervisor.for(t).spawn(fixture('worker/tells-of-children.cjs'), { ...options, args: [kind] });
  const [, text = ''] = await worker.line(/^child \w+ (.*)$/m);
  const [, self = ''] = await worker.line(/^self (.*)$/m);
  const { execArgv, env } = JSON.parse(self) as { execArgv: string[]; env: string[] };
  assert.deepEqual(execArgv, options.nodeArgs);
  assert.equal(
    env.some((key) => key.startsWith('LISTEN_') || key === 'COVET_BOOT' || key === 'COVET_WORKER' || key === 'NODE_OPTIONS'),
    false,
  );
  assert.equal(worker.stderr, '');
  return JSON.parse(text) as Record<string, never> & { env: string[] };
}
