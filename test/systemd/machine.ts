/**
 * A machine of a test's own with a real systemd as its PID 1: systemd-nspawn over an overlay of this machine's root, with a network of its own.
 * covet-pm lies there as npm would install it, in /opt/covet-pm, and the tests' apps in /opt/apps. Needs root; `why` says what is missing.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OperationName, OperationResults } from '../../supervisor/protocol/operations.ts';
import { eventually, within } from '../promises/eventually.ts';
import { repositoryRoot } from '../promises/root.ts';

const BOOT_MS = 120_000;
const POWEROFF_MS = 60_000;
const COMMAND_MS = 120_000;
/** systemd-nspawn with --keep-unit. */
const EXIT_REBOOT = 133;
const OUTPUT_KEPT = 4_000;

export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Why there can be none here; null when there can. */
export function why(): string | null {
  if (process.getuid!() !== 0) return 'a machine of its own needs root';
  const found = spawnSync('systemd-nspawn', ['--version'], { stdio: 'ignore' });
  if (found.status !== 0) return 'systemd-nspawn is not installed (systemd-container)';
  const folder = mkdtempSync(join(tmpdir(), 'covet-machine-'));
  try {
    mountOverlay(folder);
    run('umount', join(folder, 'root'));
    return null;
  } catch (error) {
    return `this host lays nothing over its root: ${(error as Error).message}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Of this machine's root, at `folder`/root; what is written there is in `folder`/upper. */
function mountOverlay(folder: string): void {
  const [upper, work, root] = ['upper', 'work', 'root'].map((name) => join(folder, name)) as [string, string, string];
  for (const path of [upper, work, root]) mkdirSync(path);
  run('mount', '-t', 'overlay', 'overlay', '-o', `lowerdir=/,upperdir=${upper},workdir=${work}`, root);
}

export class Machine {
  readonly #folder: string;
  #nspawn: ChildProcess;
  #console = '';

  /** Boots one; `end` takes it away with everything in it. */
  static async boot(): Promise<Machine> {
    const folder = mkdtempSync(join(tmpdir(), 'covet-machine-'));
    mountOverlay(folder);
    const machine = new Machine(folder);
    await machine.#booted();
    return machine;
  }

  private constructor(folder: string) {
    this.#folder = folder;
    this.#furnish();
    this.#nspawn = this.#start();
  }

  #start(): ChildProcess {
    const options = ['--boot', '--register=no', '--keep-unit', '--private-network', '--machine=covet-test', '--console=pipe'];
    const nspawn = spawn('systemd-nspawn', ['-D', this.root, ...options], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, SYSTEMD_NSPAWN_TMPFS_TMP: '0' },
    });
    for (const stream of [nspawn.stdout, nspawn.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (this.#console = (this.#console + text).slice(-OUTPUT_KEPT)));
    return nspawn;
  }

  get root(): string {
    return join(this.#folder, 'root');
  }

  /** The pid, here, of its PID 1: whose namespaces are the machine's. Null while there is none. */
  get leader(): number | null {
    const path = `/proc/${this.#nspawn.pid}/task/${this.#nspawn.pid}/children`;
    return existsSync(path) ? Number(readFileSync(path, 'utf8').split(' ')[0]) || null : null;
  }

  /** What runs a program there that sees its network only. */
  get inNetwork(): readonly string[] {
    return ['nsenter', '--target', String(this.leader), '--net', '--'];
  }

  /** Runs a command there, as root in a fresh environment. */
  async run(...command: readonly string[]): Promise<Result> {
    return this.runWith({}, ...command);
  }

  async runWith(env: Readonly<Record<string, string>>, ...command: readonly string[]): Promise<Result> {
    const variables = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', NO_COLOR: '1', ...env };
    const pairs = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
    const child = spawn('nsenter', ['--target', String(this.leader), '--all', '--', 'env', '-i', ...pairs, ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const [code] = (await within(command.join(' '), once(child, 'close'), COMMAND_MS)) as [number | null];
    return { code, stdout, stderr };
  }

  /** The same, which must succeed; its output without the last line break. */
  async ok(...command: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...command);
    if (code === 0) return stdout.trim();
    throw new Error(`Expected \`${command.join(' ')}\` to succeed, got exit ${code}: ${stderr}${stdout}\n${await this.journal()}`);
  }

  async json<N extends OperationName>(operation: N, ...args: readonly string[]): Promise<OperationResults[N]> {
    return JSON.parse(await this.ok('covet-pm', operation, ...args, '--json')) as OperationResults[N];
  }

  /** A property of the unit. */
  async property(name: string, unit = 'covet-pm'): Promise<string> {
    return this.ok('systemctl', 'show', unit, '--property', name, '--value');
  }

  async journal(): Promise<string> {
    const { stdout } = await this.run('journalctl', '-u', 'covet-pm', '--no-pager', '-n', '40', '-o', 'cat');
    const { stdout: log } = await this.run('tail', '-n', '40', '/var/log/covet-pm/supervisor.log');
    return `journal:\n${stdout}\nsupervisor.log:\n${log}`;
  }

  /** nspawn ends with the machine, and leaves it to whoever runs it to start it again. */
  async reboot(): Promise<void> {
    const down = once(this.#nspawn, 'exit');
    await this.run('systemctl', 'reboot');
    const [code] = (await within('the machine to go down', down, POWEROFF_MS)) as [number | null];
    if (code !== EXIT_REBOOT) throw new Error(`Expected exit code ${EXIT_REBOOT} for a reboot, got ${code}`);
    this.#nspawn = this.#start();
    await this.#booted();
  }

  async end(): Promise<void> {
    try {
      if (this.#nspawn.exitCode === null) {
        const gone = once(this.#nspawn, 'exit');
        this.#nspawn.kill('SIGTERM');
        await within('the machine to end', gone, POWEROFF_MS);
      }
    } finally {
      this.#nspawn.kill('SIGKILL');
      run('umount', this.root);
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }

  /** Booted is what has no jobs left; whether every service of this machine runs in that one too is not our affair. */
  async #booted(): Promise<void> {
    try {
      await eventually(
        'the machine to boot',
        async () => {
          if (this.leader === null) return false;
          const { stdout } = await this.run('systemctl', 'is-system-running');
          return /^(running|degraded)/.test(stdout);
        },
        BOOT_MS,
      );
    } catch (error) {
      await this.end();
      throw new Error(`${(error as Error).message}:\n${this.#console}`, { cause: error });
    }
  }

  /** Only systemd itself is to run there, and what the tests put there. */
  #furnish(): void {
    const system = join(this.root, 'etc/systemd/system');
    for (const wants of ['multi-user.target.wants', 'sockets.target.wants', 'timers.target.wants', 'graphical.target.wants'])
      rmSync(join(system, wants), { recursive: true, force: true });
    rmSync(join(this.root, 'etc/machine-id'), { force: true });
    writeFileSync(join(this.root, 'etc/machine-id'), '');
    const root = repositoryRoot();
    const package_ = join(this.root, 'opt/covet-pm');
    rmSync(package_, { recursive: true, force: true });
    mkdirSync(package_, { recursive: true });
    for (const part of ['dist', 'prebuilds', 'package.json']) cpSync(join(root, part), join(package_, part), { recursive: true });
    cpSync(join(root, 'test/fixtures/apps'), join(this.root, 'opt/apps'), { recursive: true });
    rmSync(join(this.root, 'usr/local/bin/covet-pm'), { force: true });
    symlinkSync('/opt/covet-pm/dist/covet-pm.cjs', join(this.root, 'usr/local/bin/covet-pm'));
    // Of whoever used this machine before.
    for (const path of ['var/lib/covet-pm', 'var/log/covet-pm', 'etc/systemd/system/covet-pm.service'])
      rmSync(join(this.root, path), { recursive: true, force: true });
  }
}

function run(program: string, ...args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`Expected \`${program} ${args.join(' ')}\` to succeed, got ${error?.message ?? stderr}`);
}
