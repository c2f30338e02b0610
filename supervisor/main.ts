/**
 * The supervisor's process, started by covet-init with its wire as fd 3: recover, serve the control socket, say ready, run what is
 * wanted; and with COVET_RUN, run one app in the foreground. Ends when it is told to, and has covet-init end with it.
 */
import { rmSync } from 'node:fs';
import { becomeInit } from './adoption/succession.ts';
import { ControlServer } from './control/server.ts';
import { realEnv } from './env.ts';
import { runForeground } from './foreground.ts';
import { warmSpawn } from './slots/spawn.ts';
import { SupervisorCore } from './supervisor.ts';

const INIT_FD = 3;

async function main(): Promise<void> {
  const env = realEnv();
  // node marks descriptors close-on-exec only up to the first hole; what we inherited must not reach the workers.
  env.native.setCloexecFrom(INIT_FD);
  const core = new SupervisorCore(env, INIT_FD);
  const isForeground = process.env['COVET_RUN'] !== undefined;
  let isQuitting = false;
  core.init.on('end', () => (isForeground || isQuitting ? process.exit(1) : becomeInit(core)));
  await core.recover();
  const control = new ControlServer(core);
  await control.listen();

  const end = async (code: number): Promise<void> => {
    await control.close();
    core.logs.end();
    if (process.env['COVET_RUN_TEMP'] === '1') rmSync(env.paths.home, { recursive: true, force: true });
    isQuitting = true;
    core.init.tell('quit', { code: String(code) });
  };
  control.onKilled(() => void end(0));

  const run = process.env['COVET_RUN'];
  if (run !== undefined) {
    core.init.tell('ready');
    return end(await runForeground(core, run));
  }
  core.init.onSignal((name) => {
    if (name === 'SIGHUP') return core.lookAround();
    void core.stopAll(`${name} was sent to covet-init`).then(() => end(0));
  });
  core.init.tell('ready');
  // After a clean end only who asks for it gets it all back; after a death nobody should have to ask.
  await Promise.all([warmSpawn(), core.init.isResumed && !core.safeMode.isOn ? core.resurrect({ failedToo: false }) : null]);
}

main().catch((error: Error) => {
  process.stderr.write(`covet-pm: the supervisor could not start: ${error.message}\n${error.stack}\n`);
  process.exit(1);
});
