/**
 * Bundles the TypeScript into the few files that ship, and the tests into build/test.
 *
 *   node scripts/build.mjs          dist/ and its types (--no-types: without them)
 *   node scripts/build.mjs --tests  build/test/**.test.mjs, one bundle a test file, and their C++ programs (build-test-programs.mjs)
 *
 * Everything is bundled, packages too: execa alone is 25 packages and 100 files, 75 ms as they lie in node_modules and 20 ms as one chunk.
 * What is imported lazily is a chunk of its own. So dist/ and prebuilds/ are all that a running supervisor needs.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  // pidusage asks getconf(1); an image without a shell has none, and its defaults do.
  define: { COVET_VERSION: JSON.stringify(manifest.version), 'process.env.PIDUSAGE_SILENT': '"1"' },
  logLevel: 'warning',
};
/** CommonJS that `import`s inside ESM bundles may still call require(). */
const requireBanner = {
  js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
};
/** In a CommonJS bundle import.meta is empty; these two are all we use of it. */
const cjsMeta = { 'import.meta.dirname': '__dirname', 'import.meta.url': '__filename' };

async function buildProduct() {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  const esm = await build({
    ...common,
    metafile: true,
    entryPoints: {
      supervisor: 'supervisor/main.ts',
      recover: 'supervisor/adoption/recover.ts',
      index: 'dashboard/index.ts',
      cli: 'dashboard/cli/main.ts',
      worker: 'worker/sdk.ts',
    },
    outdir: 'dist',
    outExtension: { '.js': '.mjs' },
    format: 'esm',
    splitting: true,
    chunkNames: '[name]-[hash]',
    banner: requireBanner,
  });
  await build({
    ...common,
    entryPoints: { 'covet-pm': 'dashboard/cli/fast.ts', preload: 'worker/preload.ts' },
    outdir: 'dist',
    outExtension: { '.js': '.cjs' },
    format: 'cjs',
    minifySyntax: true,
    define: { ...common.define, ...cjsMeta },
    external: ['./cli.mjs'],
  });
  writeLicences(esm.metafile);
  chmodSync(join(root, 'dist/covet-pm.cjs'), 0o755);
  if (!process.argv.includes('--no-types'))
    execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.types.json'], { cwd: root, stdio: 'inherit' });
}

/** What is bundled keeps its licence. */
function writeLicences(metafile) {
  const packages = new Set(Object.keys(metafile.inputs).flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []));
  const texts = [...packages].sort().map((name) => {
    const folder = join(root, 'node_modules', name);
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`Expected a licence in ${name}, which is bundled, found none`);
    return `${name} ${JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
  });
  writeFileSync(join(root, 'dist', 'THIRD_PARTY_LICENSES'), texts.join(`\n${'-'.repeat(80)}\n\n`));
}

async function buildTests() {
  const outdir = join(root, 'build', 'test');
  rmSync(outdir, { recursive: true, force: true });
  const entryPoints = testFiles(join(root, 'test'));
  await build({
    ...common,
    entryPoints,
    outdir,
    outbase: join(root, 'test'),
    outExtension: { '.js': '.mjs' },
    format: 'esm',
    packages: 'external',
    sourcemap: 'inline',
  });
  execFileSync(process.execPath, [join(root, 'scripts', 'build-test-programs.mjs')], { stdio: 'inherit' });
}

function testFiles(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return name === 'fixtures' ? [] : testFiles(path);
    return name.endsWith('.test.ts') ? [relative(root, path)] : [];
  });
}

if (process.argv.includes('--tests')) await buildTests();
else await buildProduct();
