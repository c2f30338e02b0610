/** udp.cjs on two workers, asked by clients of many ports. */
import { join } from 'node:path';
import { DatagramLoad } from '../load/datagrams.ts';
import { Home, SHORT, type HomeOptions, type TestApp } from './home.ts';
import { freePort } from './ports.ts';
import { Deployment } from './release.ts';
import type { Ending } from './served.ts';

/** Ports, so that the kernel's hash has something to choose by: all on one worker of two happens once in 2^31 runs. */
export const CLIENTS = 32;
/** 800 datagrams a second: what a worker of two does not read for half a second still fits into a socket's buffer. */
export const ROUND_MS = 40;

export interface DatagramApp {
  readonly home: Home;
  readonly deployment: Deployment;
  readonly port: number;
  readonly load: DatagramLoad;
}

/** Ends with the test, which fails when something is left. */
export async function startDatagramApp(t: Ending, config: Partial<TestApp> = {}, options: HomeOptions = {}): Promise<DatagramApp> {
  const home = new Home(options);
  const deployment = new Deployment(join(home.work, 'app'), 'udp.cjs');
  const port = await freePort();
  const load = await DatagramLoad.open(port, CLIENTS);
  t.after(async () => {
    load.close();
    await home.end();
  });
  const env = { PORT: String(port), ...config.env };
  await home.start({ ...SHORT, script: deployment.script, cwd: deployment.folder, instances: 2, ...config, env });
  return { home, deployment, port, load };
}
