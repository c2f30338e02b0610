/** As much of a supervisor as the tests of its parts ask for, in a folder of its own. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { realEnv, type Env } from '../../supervisor/env.ts';
import { EventLog } from '../../supervisor/event-log.ts';
import { LogStore } from '../../supervisor/logs/log-store.ts';
import { pathsOf } from '../../supervisor/protocol/paths.ts';
import type { SupervisorCore } from '../../supervisor/supervisor.ts';

/** The real environment with paths in a temp folder; every peer is `uid`. */
export function envIn(t: TestContext, uid = process.getuid!()): Env {
  const folder = mkdtempSync(join(tmpdir(), 'covet-part-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const real = realEnv();
  const native = Object.assign(Object.create(real.native), { peerCredentials: () => ({ pid: process.pid, uid, gid: uid }) });
  const paths = pathsOf({ COVET_HOME: folder }, uid);
  for (const path of [paths.run, paths.logs]) mkdirSync(path);
  return { ...real, native, paths };
}

export function storeIn(t: TestContext, env = envIn(t)): LogStore {
  const store = new LogStore(env, new EventLog(env));
  t.after(() => store.end());
  return store;
}

/** Env, events, logs, and apps that are no more than their names. */
export function coreIn(t: TestContext, { uid = process.getuid!(), apps = [] as readonly string[] } = {}): SupervisorCore {
  const env = envIn(t, uid);
  const named = new Map(apps.map((name) => [name, { name }]));
  const core = { env, events: new EventLog(env), logs: storeIn(t, env), apps: named, app: (name: string) => named.get(name) };
  return core as unknown as SupervisorCore;
}
