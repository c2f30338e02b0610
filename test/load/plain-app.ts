/** A fixture app run by plain node, without covet-pm: to test the load clients themselves, and for benchmarks' baselines. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { repositoryRoot } from '../promises/root.ts';

const START_MS = 20_000;

export class PlainApp {
  readonly port: number;
  readonly #child: ChildProcess;

  /** Resolves when the app says that it listens. `port` 0 takes any. */
  static async start(fixture: string, port = 0): Promise<PlainApp> {
    const root = repositoryRoot();
    const tsx = fixture.endsWith('.ts') ? ['--import', 'tsx'] : [];
    const child = spawn(process.execPath, [...tsx, join(root, 'test/fixtures/apps', fixture)], {
      cwd: root,
      env: { ...process.env, PORT: String(port) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout });
    const timer = setTimeout(() => child.kill('SIGKILL'), START_MS);
    for await (const line of lines) {
      const listening = /^listening (\d+)$/.exec(line)?.[1];
      if (listening === undefined) continue;
      clearTimeout(timer);
      child.stdout.resume();
      return new PlainApp(child, Number(listening));
    }
    throw new Error(`Expected ${fixture} to say that it listens within ${START_MS} ms`);
  }

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}
