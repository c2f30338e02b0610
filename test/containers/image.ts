/**
 * The image of examples/container/Dockerfile without its base, which would have to be downloaded: the same root is put together from this
 * machine's node and C library and the packed tarball, and what the Dockerfile says of it (ENV, USER, ENTRYPOINT …) is read from there.
 */
import { execFileSync } from 'node:child_process';
import { chownSync, cpSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { repositoryRoot } from '../promises/root.ts';
import type { Docker } from './docker.ts';

const SETTINGS = /^(ENV|WORKDIR|USER|EXPOSE|HEALTHCHECK|ENTRYPOINT) .*$/gm;
const USER = 1_000;

/** Builds it, and answers with its name. test/fixtures/apps are in /fixtures. */
export async function buildImage(docker: Docker): Promise<string> {
  const repository = repositoryRoot();
  const root = join(docker.folder, 'root');
  for (const folder of ['app', 'dev', 'proc', 'sys', 'tmp', 'run/covet']) mkdirSync(join(root, folder), { recursive: true });
  // For the bin's first line, too.
  for (const program of [process.execPath, '/usr/bin/env']) copyProgram(program, root);
  for (const file of ['app.js', 'package.json']) cpSync(join(repository, 'examples/container', file), join(root, 'app', file));
  cpSync(join(repository, 'test/fixtures/apps'), join(root, 'fixtures'), { recursive: true });
  installPacked(repository, docker.folder, join(root, 'usr/local'));
  chownSync(join(root, 'run/covet'), USER, USER);
  const settings = readFileSync(join(repository, 'examples/container/Dockerfile'), 'utf8').match(SETTINGS) ?? [];
  const changes = ['ENV PATH=/usr/local/bin:/usr/bin', ...settings].flatMap((setting) => ['--change', setting]);
  const tar = join(docker.folder, 'root.tar');
  execFileSync('tar', ['--create', '--file', tar, '--directory', root, '.']);
  await docker.say('import', ...changes, tar, 'covet-test');
  return 'covet-test';
}

/** With the libraries that ldd names; as /usr/bin/<name>. */
function copyProgram(program: string, root: string): void {
  const libraries = execFileSync('ldd', [program], { encoding: 'utf8' }).match(/\/\S+\.so\S*/g) ?? [];
  for (const library of libraries) {
    mkdirSync(join(root, dirname(library)), { recursive: true });
    cpSync(library, join(root, library), { dereference: true });
  }
  mkdirSync(join(root, 'usr/bin'), { recursive: true });
  cpSync(program, join(root, 'usr/bin', program.slice(program.lastIndexOf('/') + 1)), { dereference: true });
}

/** Scripts are left out of both: prepack builds anew, and none is needed to install. */
function installPacked(repository: string, folder: string, prefix: string): void {
  const text = execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: repository,
    encoding: 'utf8',
  });
  const [packed] = JSON.parse(text) as { filename: string }[];
  const install = ['install', '--global', '--prefix', prefix, '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  execFileSync('npm', [...install, join(folder, packed!.filename)], { cwd: folder, stdio: 'ignore' });
}
