/**
 * The style, as far as a program can judge it: which folder may import which, sizes, headers, names, dead files, and tables that
 * agree with their pages. A rule that gets in the way of better code is changed here, in the open.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { ERRORS } from '../supervisor/protocol/errors.ts';
import { repositoryRoot } from './promises/root.ts';

const FILE_LINES_MAX = 300;
const FUNCTION_LINES_MAX = 70;
const README_LINES_MAX = 150;
const PRODUCT = ['native', 'supervisor', 'worker', 'dashboard'];
const ENTRIES = [
  'supervisor/main.ts',
  'supervisor/adoption/recover.ts',
  'dashboard/index.ts',
  'dashboard/cli/main.ts',
  'dashboard/cli/fast.ts',
  'worker/sdk.ts',
  'worker/preload.ts',
];

/** Which files of other folders a file may import; the first pattern that fits the importer decides. */
const MAY_IMPORT: readonly (readonly [from: RegExp, to: RegExp])[] = [
  [/^dashboard\/index\.ts$/, /^(dashboard|supervisor\/protocol)\/|^supervisor\/embedded\.ts$/],
  // What the host allows is the same without a supervisor.
  [/^dashboard\/cli\/commands\/doctor\.ts$/, /^(dashboard|supervisor\/protocol|native)\/|^supervisor\/host\/findings\.ts$/],
  // It makes folders as an embedded supervisor does.
  [/^dashboard\/home\.ts$/, /^(dashboard|supervisor\/protocol)\/|^supervisor\/host\/folders\.ts$/],
  [/^dashboard\/(launch|versions|cli\/commands\/(run|upgrade))\.ts$/, /^(dashboard|supervisor\/protocol|native)\//],
  [/^dashboard\//, /^(dashboard|supervisor\/protocol)\//],
  [/^worker\//, /^(worker|supervisor\/protocol|native)\//],
  [/^supervisor\/protocol\//, /^supervisor\/protocol\//],
  [/^supervisor\/.*-(machine|policy)\.ts$/, /^supervisor\/(protocol\/|.*-(machine|policy)\.ts$)/],
  [/^supervisor\//, /^(supervisor|native)\//],
  [/^native\//, /^native\//],
];

/** The one place of each package. */
const PACKAGES: Readonly<Record<string, RegExp>> = {
  execa: /^supervisor\/slots\/spawn\.ts$/,
  pidusage: /^supervisor\/metrics\//,
  commander: /^dashboard\/cli\//,
  valibot: /^(supervisor|dashboard\/cli)\//,
};

const root = repositoryRoot();
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const sources = PRODUCT.flatMap((folder) => filesBelow(folder)).filter((path) => /\.(ts|cc|h)$/.test(path) && !path.endsWith('.d.ts'));
const modules = sources.filter((path) => path.endsWith('.ts'));

test('a folder imports only what it may, a package has one place', () => {
  const wrong = modules.flatMap((path) =>
    importsOf(path)
      .filter((specifier) => !specifier.startsWith('node:') && !mayImport(path, specifier))
      .map((specifier) => `${path} imports ${specifier}`),
  );
  assert.deepEqual(wrong, []);
});

test('every file begins with a comment that says what it is', () => {
  const bare = sources.filter((path) => !/^(#!.*\n)?(#pragma once\n+)?(\/\*\*|\/\/)/.test(read(path)));
  assert.deepEqual(bare, []);
});

test(`no file is longer than ${FILE_LINES_MAX} lines, no function longer than ${FUNCTION_LINES_MAX}`, () => {
  const long = sources.filter((path) => linesOf(path).length > FILE_LINES_MAX);
  assert.deepEqual(long, []);
  assert.deepEqual(modules.flatMap(longFunctions), []);
});

test('no folder is a drawer for whatever has no name', () => {
  const drawers = sources.filter((path) => /(^|\/)(utils?|helpers?|common|lib|misc)(\/|\.\w+$)/.test(path));
  assert.deepEqual(drawers, []);
});

test('no file is dead', () => {
  const reached = new Set<string>();
  const visit = (path: string): void => {
    if (reached.has(path) || !existsSync(join(root, path))) return;
    reached.add(path);
    for (const specifier of importsOf(path)) if (specifier.startsWith('.')) visit(target(path, specifier));
  };
  ENTRIES.forEach(visit);
  assert.deepEqual(
    modules.filter((path) => !reached.has(path)),
    [],
  );
});

test('no name of another tool’s vocabulary is in the code', () => {
  const found = sources.flatMap((path) => {
    const code = withoutProse(read(path));
    return [...code.matchAll(/\b(\w*(?:god|daemon|master)\w*)\b/gi)]
      .map(([word]) => word)
      .filter((word) => !/^(isMaster|setupMaster|daemonless|god[a-z]+)$/i.test(word))
      .map((word) => `${path}: ${word}`);
  });
  assert.deepEqual(found, []);
});

test('every error code is used, and documented', () => {
  const users = modules
    .filter((path) => path !== 'supervisor/protocol/errors.ts')
    .map(read)
    .join('\n');
  const page = read('docs/errors.md');
  const codes = Object.keys(ERRORS);
  assert.deepEqual(
    codes.filter((code) => !users.includes(code)),
    [],
  );
  assert.deepEqual(
    codes.filter((code) => !page.includes(`\`${code}\``)),
    [],
  );
});

test('the reference pages are what their tables say', () => {
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts/docs.mjs'), '--check'], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});

test('links of the pages lead somewhere', () => {
  const pages = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...filesBelow('docs')].filter(
    (path) => path.endsWith('.md') && existsSync(join(root, path)),
  );
  const broken = pages.flatMap((page) => {
    const links = [...read(page).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link]) => link!);
    return links.filter((link) => !existsSync(join(root, dirname(page), link))).map((link) => `${page}: ${link}`);
  });
  assert.deepEqual(broken, []);
});

test(`the README is at most ${README_LINES_MAX} lines`, () => {
  if (existsSync(join(root, 'README.md'))) assert.ok(linesOf('README.md').length <= README_LINES_MAX);
});

test('the lock file names no download address', () => {
  assert.doesNotMatch(read('package-lock.json'), /"resolved"/);
});

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

function linesOf(path: string): string[] {
  return read(path).trimEnd().split('\n');
}

function importsOf(path: string): string[] {
  const statements = read(path).matchAll(/^(?:import|export)\b[^'"`;]*?from '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm);
  return [...new Set([...statements].map(([, from, bare, dynamic]) => from ?? bare ?? dynamic!))];
}

function mayImport(path: string, specifier: string): boolean {
  if (!specifier.startsWith('.')) return PACKAGES[specifier]?.test(path) ?? false;
  const [, allowed] = MAY_IMPORT.find(([from]) => from.test(path)) ?? assert.fail(`no rule for ${path}`);
  return allowed.test(target(path, specifier));
}

function target(path: string, specifier: string): string {
  return relative(root, resolve(root, dirname(path), specifier));
}

/** By indentation, which the formatter keeps: from a line that opens a function to the one that closes it at the same depth. */
function longFunctions(path: string): string[] {
  const lines = linesOf(path);
  return lines.flatMap((line, start) => {
    const [, indent] =
      /^(\s*)(?:export )?(?:async )?(?:function\b|(?:static |async |get |set )*#?\w+\(.*\)[^;]*\{$|const \w+ = .*=> \{$)/.exec(line) ?? [];
    if (indent === undefined || !line.endsWith('{') || /^\s*(if|for|while|switch|return|catch)\b/.test(line)) return [];
    const length = lines.slice(start).findIndex((later) => later.startsWith(`${indent}}`)) + 1;
    return length > FUNCTION_LINES_MAX ? [`${path}:${start + 1} has ${length} lines`] : [];
  });
}

/** The code without comments and the text of strings, roughly. */
function withoutProse(text: string): string {
  return text
    .replace(/\/\*[^]*?\*\//g, '')
    .replace(/\/\/.*$/gm, '')
    .replace(/'[^'\n]*'|"[^"\n]*"|`[^`]*`/g, "''");
}
