/**
 * Builds the C++ programs by which test/native/ drives native/acceptor/ without Node, into build/test-native/<variant>/.
 *
 *   node scripts/build-test-programs.mjs                  plain: what is older than its sources
 *   node scripts/build-test-programs.mjs thread|address   under -fsanitize=thread, or address,undefined
 *
 * Not by binding.gyp, which is published: the package has no test/.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROGRAMS = ['rescues', 'rescue-rule'];
const SANITIZERS = {
  plain: [],
  thread: ['-fsanitize=thread'],
  address: ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
};
const FLAGS = ['-std=c++20', '-fno-exceptions', '-fno-rtti', '-Wall', '-Wextra', '-Werror', '-pthread'];

const root = fileURLToPath(new URL('..', import.meta.url));
const variant = process.argv[2] ?? 'plain';
if (SANITIZERS[variant] === undefined) fail(`Expected plain, thread or address, got ${variant}.`);
const folder = join(root, 'build', 'test-native', variant);
const flags = [...FLAGS, ...SANITIZERS[variant], ...(variant === 'plain' ? ['-O1'] : ['-O1', '-g', '-fno-omit-frame-pointer'])];

mkdirSync(folder, { recursive: true });
const programs = PROGRAMS.map((name) => join(root, 'test', 'fixtures', 'native', `${name}.cc`));
const shared = ['acceptor', 'sys'].flatMap((part) => filesOf(join(root, 'native', part), '.cc'));
const headers = ['acceptor', 'sys'].flatMap((part) => filesOf(join(root, 'native', part), '.h'));
const newest = Math.max(...[...headers, fileURLToPath(import.meta.url)].map((path) => statSync(path).mtimeMs));
const waiting = [...programs, ...shared].filter((path) => isOlder(objectOf(path), Math.max(newest, statSync(path).mtimeMs)));
await Promise.all(
  Array.from({ length: availableParallelism() }, async () => {
    for (let path = waiting.shift(); path !== undefined; path = waiting.shift())
      await compile([...flags, `-I${join(root, 'native')}`, '-c', path, '-o', objectOf(path)]);
  }),
);
for (const path of programs) {
  const output = join(folder, basename(path, '.cc'));
  const objects = [path, ...shared].map(objectOf);
  if (isOlder(output, Math.max(...objects.map((object) => statSync(object).mtimeMs)))) await compile([...flags, ...objects, '-o', output]);
}

function filesOf(path, extension) {
  return readdirSync(path)
    .filter((name) => name.endsWith(extension))
    .sort()
    .map((name) => join(path, name));
}

function objectOf(path) {
  return join(folder, `${basename(path, '.cc')}-${path.includes(`${join('native', 'sys')}`) ? 'sys' : 'own'}.o`);
}

function isOlder(path, thanMs) {
  return !existsSync(path) || statSync(path).mtimeMs < thanMs;
}

async function compile(args) {
  const code = await new Promise((resolve) => {
    spawn(process.env['CXX'] ?? 'g++', args, { stdio: ['ignore', 'inherit', 'inherit'] })
      .on('error', () => resolve(127))
      .on('close', resolve);
  });
  if (code !== 0) fail(`Expected ${args.at(-1)} to be built, the compiler said ${code}; its messages are above.`);
}

function fail(sentence) {
  process.stderr.write(`build-test-programs: ${sentence}\n`);
  process.exit(1);
}
