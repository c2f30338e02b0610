/**
 * The supervisor's process, started by covet-init with its wire as fd 3: recover, serve the control socket, say ready, run what is
 * wanted; and with COVET_RUN, run one app in the foreground. Ends when it is told to, and has covet-init end with it.
 */
import { rmSync } from 'node:fs';
import { becomeInit } from './adoption/succession.ts';
import { ControlServer } from './control/server.ts';
import { binary, packageRoot } from '../native/index.ts';
import { realEnv } from './env.ts';
import { runForeground } from './foreground.ts';
import { InitError } from './init/init-client.ts';
import { boundOwnLog } from './own-log.ts';
import { logFormatOf, say, sayForNode } from './own-words.ts';
import { warmSpawn } from './slots/spawn.ts';
import { markCurrent } from './state/versions.ts';
import { SupervisorCore } from './supervisor.ts';

const INIT_FD = 3;
const REPLACE_TRIES_MAX = 50;
/** More than a manager takes; a unit that was stopped meanwhile is not started again at all. */
const SUCCESSOR_WAIT_MS = 10_000;

async function main(): Promise<void> {
  const env = realEnv();
  sayForNode(env);
  // node marks descriptors close-on-exec only up to the first hole; what we inherited must not reach the workers.
  env.native.setCloexecFrom(INIT_FD);
  boundOwnLog(env);
  const core = new SupervisorCore(env, INIT_FD);
  const isForeground = process.env['COVET_RUN'] !== undefined;
  let isQuitting = false;
  core.init.on('end', () => {
    if (isForeground || isQuitting) process.exit(1);
    // It told nothing, or not all: to follow it would be to forget the rest. What it wrote down is found by `resurrect`.
    else if (core.held === null) return; // recover() rejects
    else if (core.init.isService) awaitSuccessor();
    else becomeInit(core);
  });
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
  control.onEnd((method) => {
    if (method === 'kill') return void end(0);
    // For its successor: whatever is under way is taken over like anything else.
    core.logs.end();
    process.exit(0);
  });

  const run = process.env['COVET_RUN'];
  if (run !== undefined) {
    core.init.tell('ready');
    return end(await runForeground(core, run));
  }
  core.init.onSignal((name) => {
    if (name === 'SIGHUP') return core.lookAround();
    void core.stopAll(`${name} was sent to covet-init`, { hasLameDucks: true }).then(() => end(0));
  });
  core.init.tell('ready');
  markCurrent(env.paths.versions, packageRoot());
  await Promise.all([warmSpawn(), core.safeMode.isOn ? null : startWanted(core)]);
  await replaceInit(core);
}

/**
 * A service manager starts covet-init again, and that one ends this process before it starts the next. Until then nothing is decided here any more,
 * for nothing of it would be recorded; but the addon's threads go on copying the workers' lines.
 */
function awaitSuccessor(): never {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SUCCESSOR_WAIT_MS);
  process.exit(1);
}

/** After a clean end only who asks for it gets it all back, as a service manager does by starting us; after a death nobody should have to ask. */
async function startWanted(core: SupervisorCore): Promise<void> {
  await core.startInterrupted();
  if (core.init.isService && !core.init.isResumed) await core.resurrect();
}

/** covet-init and supervisor are of one release: after an upgrade the new supervisor has its own covet-init take the place of the one before. */
async function replaceInit({ init, logs }: SupervisorCore): Promise<void> {
  const path = binary('covet-init');
  if (init.path === null || init.path === path) return;
  for (let tries = 0; ; tries++) {
    try {
      await init.request('replace', { path });
      return;
    } catch (error) {
      // Packets were under way; it is free again in a moment.
      if (error instanceof InitError && error.code === 'EAGAIN' && tries < REPLACE_TRIES_MAX) continue;
      return logs.say('supervisor', `covet-init goes on as ${init.path}, for ${path} cannot take its place: ${(error as Error).message}`);
    }
  }
}

main().catch((error: Error) => {
  const speaker = { logFormat: logFormatOf(process.env), wallClock: () => new Date() };
  say(speaker, `the supervisor could not start: ${error.message}\n${error.stack}`);
  process.exit(1);
});
