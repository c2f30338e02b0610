/** A cgroup v2 tree that is delegated to the supervisor of one test, below the root of this machine's. Needs root; `why` says what is missing. */
import { mkdirSync, readFileSync, rmdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './eventually.ts';

/** Where the whole of it is mounted: alone, or beside the v1 hierarchies. */
const point = readFileSync('/proc/self/mountinfo', 'utf8')
  .split('\n')
  .flatMap((line) => (/ - cgroup2 /.test(line) && line.split(' ')[3] === '/' ? (line.split(' ')[4] ?? []) : []))[0];

const offered = point === undefined ? [] : readFileSync(join(point, 'cgroup.controllers'), 'utf8').trim().split(' ');

/** Why there can be no tree here, or none with a memory controller; null when there can. */
export function why({ memory = false } = {}): string | null {
  if (process.getuid!() !== 0) return 'to delegate a cgroup tree needs root';
  if (point === undefined) return 'no cgroup v2 tree is mounted here';
  if (memory && !offered.includes('memory')) return `the cgroup v2 tree at ${point} has no memory controller`;
  return null;
}

export class CgroupTree {
  readonly root: string;

  constructor({ memory = false } = {}) {
    if (memory) writeFileSync(join(point!, 'cgroup.subtree_control'), '+memory');
    this.root = join(point!, `covet-test-${process.pid}-${Math.floor(performance.now())}`);
    mkdirSync(join(this.root, 'covet'), { recursive: true });
  }

  /** With whatever is still in it. */
  async end(): Promise<void> {
    writeFileSync(join(this.root, 'cgroup.kill'), '1');
    await eventually('the tree to be empty', () => /^populated 0$/m.test(readFileSync(join(this.root, 'cgroup.events'), 'utf8')));
    for (const inner of readdirSync(this.root, { withFileTypes: true })) if (inner.isDirectory()) rmdirSync(join(this.root, inner.name));
    rmdirSync(this.root);
  }

  /** Runs a command as somebody in the group that it is delegated to does. */
  get prefix(): readonly string[] {
    return ['sh', '-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', join(this.root, 'covet')];
  }
}
