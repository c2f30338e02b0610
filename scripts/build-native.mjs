/**
 * Builds the native parts into prebuilds/linux-<arch>/: covet.node, covet-init, covet-exec. Nothing is downloaded.
 *
 *   node scripts/build-native.mjs               what is older than its sources
 *   node scripts/build-native.mjs --force       everything
 *   node scripts/build-native.mjs --arch arm64  for the other architecture, by its cross compiler
 *   node scripts/build-native.mjs --sanitize    ASan and UBSan variants, into prebuilds-sanitize/linux-<arch>/, and a proof that they bite
 *
 * binding.gyp lies at the root of the repository and in native/ of the published package (at the root npm would build it at each
 * install). It is copied to a work folder below build/, so that an architecture or a sanitizer never reuses another's objects.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, statSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const OUTPUTS = ['covet.node', 'covet-init', 'covet-exec'];
/** Node's name of an architecture → the prefix of its GNU tools, and Debian's package of them. */
const TOOLS = {
  x64: { prefix: 'x86_64-linux-gnu-', package: 'g++-x86-64-linux-gnu' },
  arm64: { prefix: 'aarch64-linux-gnu-', package: 'g++-aarch64-linux-gnu' },
};

const root = fileURLToPath(new URL('..', import.meta.url));
const options = parseArguments(process.argv.slice(2));
const outputFolder = join(root, options.sanitize ? 'prebuilds-sanitize' : 'prebuilds', `linux-${options.arch}`);
const bindingFile =
  [join(root, 'binding.gyp'), join(root, 'native', 'binding.gyp')].find(existsSync) ??
  fail('Expected binding.gyp at the root or in native/, found none.');

if (options.force || isStale()) {
  build();
  install();
  if (options.sanitize) proveThatItBites();
}

function parseArguments(args) {
  const parsed = { arch: process.arch, force: false, sanitize: false };
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--force') parsed.force = true;
    else if (args[i] === '--sanitize') parsed.sanitize = true;
    else if (args[i] === '--arch' && TOOLS[args[i + 1]]) parsed.arch = args[++i];
    else fail(`Expected --force, --sanitize or --arch ${Object.keys(TOOLS).join('|')}, got ${args.slice(i).join(' ')}.`);
  }
  return parsed;
}

function isStale() {
  const outputs = OUTPUTS.map((name) => join(outputFolder, name));
  if (!outputs.every(existsSync)) return true;
  const oldest = Math.min(...outputs.map((path) => statSync(path).mtimeMs));
  return [bindingFile, fileURLToPath(import.meta.url), ...sources(join(root, 'native'))].some((path) => statSync(path).mtimeMs > oldest);
}

function sources(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sources(path);
    return /\.(cc|h)$/.test(entry.name) ? [path] : [];
  });
}

function workFolder() {
  return join(root, 'build', `native-${options.arch}${options.sanitize ? '-sanitize' : ''}`);
}

function build() {
  const folder = workFolder();
  mkdirSync(folder, { recursive: true });
  // By a link inside the folder: of sources that lie outside it gyp makes one object for all targets, whichever flags each has.
  if (!existsSync(join(folder, 'native'))) symlinkSync(relative(folder, join(root, 'native')), join(folder, 'native'));
  copyFileSync(bindingFile, join(folder, 'binding.gyp'));
  const env = { ...process.env, ...compilers(), PYTHON: process.env['PYTHON'] ?? findTool('python3', 'python3') };
  findTool('make', 'make');
  const gyp = (command, extra) => {
    const args = [nodeGyp(), command, `--nodedir=${nodeFolder()}`, `--arch=${options.arch}`, '--loglevel=warn', ...extra];
    const result = spawnSync(process.execPath, args, { cwd: folder, env, stdio: ['ignore', 'inherit', 'inherit'] });
    if (result.status !== 0) fail(`Building the native parts failed (node-gyp ${command}); the compiler's messages are above.`);
  };
  gyp('configure', ['--', `-Droot=.`, `-Dnode_addon_api=${nodeAddonApi()}`, `-Dsanitize=${options.sanitize ? 1 : 0}`]);
  gyp('build', ['--jobs=max']);
}

/** Compilers in the environment are taken as they are; another architecture needs its own. */
function compilers() {
  if (options.arch === process.arch) {
    if (!process.env['CXX']) findTool('g++', 'g++');
    return {};
  }
  const { prefix, package: debian } = TOOLS[options.arch];
  findTool(`${prefix}g++`, debian);
  return { CC: `${prefix}gcc`, CXX: `${prefix}g++`, LINK: `${prefix}g++`, AR: `${prefix}ar` };
}

function findTool(name, debianPackage) {
  const folder = (process.env['PATH'] ?? '').split(':').find((entry) => entry !== '' && existsSync(join(entry, name)));
  return folder === undefined ? fail(`Expected ${name}, found none in PATH: apt-get install ${debianPackage}`) : join(folder, name);
}

/** Where Node's headers are: N-API is the same for every version, so any will do. */
function nodeFolder() {
  const candidates = [process.env['npm_config_nodedir'], join(dirname(process.execPath), '..'), '/usr'];
  return (
    candidates.find((folder) => folder && existsSync(join(folder, 'include', 'node', 'node_api.h'))) ??
    fail('Expected include/node/node_api.h beside node or in /usr, found none: apt-get install libnode-dev, or set npm_config_nodedir.')
  );
}

function nodeGyp() {
  const candidates = [join(root, 'node_modules', 'node-gyp', 'bin', 'node-gyp.js'), process.env['npm_config_node_gyp']];
  return (
    candidates.find((path) => path && existsSync(path)) ??
    fail('Expected node-gyp, found none: npm install --no-save node-gyp node-addon-api')
  );
}

function nodeAddonApi() {
  try {
    return dirname(createRequire(join(root, 'package.json')).resolve('node-addon-api/package.json'));
  } catch {
    return fail('Expected node-addon-api, found none: npm install --no-save node-gyp node-addon-api');
  }
}

/** By rename: a running covet-init keeps the file it began with, and nobody ever loads half of one. */
function install() {
  mkdirSync(outputFolder, { recursive: true });
  for (const name of OUTPUTS) {
    const built = join(workFolder(), 'build', 'Release', name);
    const beside = join(outputFolder, `.${name}.${process.pid}`);
    copyFileSync(built, beside);
    chmodSync(beside, 0o755);
    renameSync(beside, join(outputFolder, name));
  }
  const sizes = OUTPUTS.map((name) => `${name} ${Math.round(statSync(join(outputFolder, name)).size / 1024)} KiB`);
  process.stdout.write(`${relative(root, outputFolder)}: ${sizes.join(', ')}\n`);
}

/** A sanitizer that was not linked in finds nothing either: each binary makes a mistake on purpose. */
function proveThatItBites() {
  if (options.arch !== process.arch) return;
  for (const name of ['covet-init', 'covet-exec']) {
    for (const [kind, words] of [
      ['address', 'heap-buffer-overflow'],
      ['undefined', 'signed integer overflow'],
    ]) {
      const result = spawnSync(join(outputFolder, name), ['--sanitizer-self-check', kind], { encoding: 'utf8' });
      if (result.status === 0 || !result.stderr.includes(words))
        fail(`Expected ${name} --sanitizer-self-check ${kind} to report "${words}", it did not.`);
    }
  }
  process.stdout.write('self-check: both sanitizers report their mistake\n');
}

function fail(sentence) {
  process.stderr.write(`build-native: ${sentence}\n`);
  process.exit(1);
}
