/**
 * A Docker engine of the tests' own: Debian's dockerd on a private socket with its files in a temporary folder, in a mount namespace of
 * its own, so that nothing of it is left when it ends. It has no bridge and touches no iptables: containers use the host's network.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../promises/eventually.ts';
import { type CommandResult, resultOf } from '../promises/home.ts';
import { ALL, isRoot } from '../promises/tier.ts';

/** Debian's own, which is of the engine's version; whatever else is on the PATH may speak another API. */
const CLIENT = existsSync('/usr/bin/docker') ? '/usr/bin/docker' : 'docker';
const START_MS = 60_000;

/** Why there is nothing to run these on; false when there is. */
export function whyNot(): string | false {
  if (!ALL) return 'run with --all';
  if (!isRoot) return 'a Docker engine needs root';
  const hasEngine = ['dockerd', 'unshare'].every((program) => spawnSync('which', [program]).status === 0);
  return hasEngine ? false : 'there is no dockerd: apt-get install docker.io';
}

export class Docker {
  readonly folder: string;
  readonly #socket: string;
  readonly #engine: ChildProcess;

  static async start(): Promise<Docker> {
    const docker = new Docker();
    const answers = async (): Promise<boolean> => {
      if (docker.#engine.exitCode !== null) throw new Error(`dockerd ended:\n${docker.log()}`);
      return (await docker.try('version')).code === 0;
    };
    try {
      await eventually('dockerd to answer', answers, START_MS);
      return docker;
    } catch (error) {
      await docker.end();
      throw error;
    }
  }

  private constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'cv-docker-'));
    this.#socket = `unix://${this.folder}/docker.sock`;
    const options = [
      ...['--host', this.#socket, '--data-root', `${this.folder}/data`, '--exec-root', `${this.folder}/exec`],
      ...['--pidfile', `${this.folder}/pid`, '--bridge=none', '--iptables=false', '--ip6tables=false'],
      // Its default asks for a privilege that a virtual machine may lack.
      ...['--oom-score-adjust=0'],
    ];
    const script = `exec unshare --mount dockerd "$@" >"${this.folder}/log" 2>&1`;
    this.#engine = spawn('sh', ['-c', script, 'sh', ...options], { stdio: 'ignore' });
  }

  log(): string {
    return readFileSync(join(this.folder, 'log'), 'utf8').split('\n').slice(-20).join('\n');
  }

  /** The client's answer, whatever it is. */
  async try(...args: readonly string[]): Promise<CommandResult> {
    const child = spawn(CLIENT, ['--host', this.#socket, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    return resultOf(child, `docker ${args.join(' ')}`);
  }

  /** What the client prints, without the last newline. */
  async say(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(...args);
    if (code !== 0) throw new Error(`Expected \`docker ${args.join(' ')}\` to work, got exit ${code}: ${stderr}${stdout}`);
    return stdout.trimEnd();
  }

  /** Starts a container. */
  async run(image: string, { network = 'host', options = [], args = [] }: RunOptions): Promise<Container> {
    const [entrypoint = '', ...rest] = args;
    const asIs = args.length === 0;
    const id = await this.say(
      'run',
      '--detach',
      `--network=${network}`,
      ...options,
      ...(asIs ? [] : ['--entrypoint', entrypoint]),
      image,
      ...rest,
    );
    return new Container(this, id);
  }

  async end(): Promise<void> {
    const containers = (await this.try('ps', '--all', '--quiet')).stdout.split('\n').filter(Boolean);
    if (containers.length > 0) await this.try('rm', '--force', ...containers);
    if (this.#engine.exitCode === null && this.#engine.signalCode === null) {
      this.#engine.kill('SIGTERM');
      await once(this.#engine, 'exit');
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface RunOptions {
  /** By default the host's. */
  readonly network?: 'host' | 'none';
  readonly options?: readonly string[];
  /** Instead of the image's entry point. */
  readonly args?: readonly string[];
}

export class Container {
  readonly id: string;
  readonly #docker: Docker;

  constructor(docker: Docker, id: string) {
    this.#docker = docker;
    this.id = id;
  }

  async exec(...command: readonly string[]): Promise<CommandResult> {
    return this.#docker.try('exec', this.id, ...command);
  }

  async covet(...args: readonly string[]): Promise<CommandResult> {
    return this.exec('covet-pm', ...args);
  }

  /** `Go template` of docker inspect. */
  async inspect(template: string): Promise<string> {
    return this.#docker.say('inspect', '--format', template, this.id);
  }

  /** Of its PID 1, as the host counts. */
  async pid(): Promise<number> {
    return Number(await this.inspect('{{.State.Pid}}'));
  }

  async stop(seconds = 60): Promise<void> {
    await this.#docker.say('stop', '--time', String(seconds), this.id);
  }

  async kill(): Promise<void> {
    await this.#docker.say('kill', this.id);
  }

  async startAgain(): Promise<void> {
    await this.#docker.say('start', this.id);
  }

  /** Resolves with its exit code. */
  async ended(): Promise<number> {
    return Number(await this.#docker.say('wait', this.id));
  }

  /** Its processes, as the host counts them. */
  async top(): Promise<CommandResult> {
    return this.#docker.try('top', this.id, '-o', 'pid,ppid,args');
  }

  async logs(): Promise<CommandResult> {
    return this.#docker.try('logs', this.id);
  }

  async online(): Promise<void> {
    const isOnline = async (): Promise<boolean> => {
      const list = await this.covet('list', '--json');
      return list.code === 0 && list.as('list').apps[0]?.status === 'online';
    };
    await eventually('the app to be online', isOnline, 60_000).catch(async (error: unknown) => {
      const { stdout, stderr } = await this.logs();
      throw new Error(`It never was online:\n${stdout}${stderr}`, { cause: error });
    });
  }
}
