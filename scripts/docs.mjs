/**
 * Writes the reference pages that are facts of the code: docs/errors.md, docs/config.md, docs/cli.md. With --check it writes
 * nothing and fails when a page is not what it would write; a test does that.
 *
 * The tables are TypeScript: they are bundled into memory and imported from there.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;

const TABLES = `
  export { ERRORS, EXIT } from './supervisor/protocol/errors.ts';
  export { appConfigSchema } from './supervisor/protocol/config.ts';
  export { APP_FLAGS } from './dashboard/cli/app-flags.ts';
  export { program } from './dashboard/cli/main.ts';
  export * as v from 'valibot';
`;

const { ERRORS, EXIT, appConfigSchema, APP_FLAGS, program, v } = await importTables();
const pages = { 'errors.md': errorsPage(), 'config.md': configPage(), 'cli.md': cliPage() };
const isCheck = process.argv.includes('--check');
for (const [name, text] of Object.entries(pages)) {
  const path = join(root, 'docs', name);
  if (!isCheck) {
    writeFileSync(path, text);
  } else if (readOrEmpty(path) !== text) {
    console.error(`docs/${name} is not what its table says. Run: node scripts/docs.mjs`);
    process.exitCode = 1;
  }
}

async function importTables() {
  const { outputFiles } = await build({
    stdin: { contents: TABLES, resolveDir: root, loader: 'ts' },
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    define: { COVET_VERSION: JSON.stringify(version) },
    banner: {
      js: `import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(${JSON.stringify(import.meta.url)});`,
    },
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
}

function errorsPage() {
  const rows = Object.entries(ERRORS).map(([name, { exit, message }]) => `| \`${name}\` | ${exit} | ${cell(message)} |`);
  return `# Errors

Every failure has a code, a sentence that says what was expected, what was got and what to do, and an exit code. \`--json\` gives
\`{"apiVersion":1,"error":{"code","message","details"}}\`; programs get a \`CovetError\` with \`code\` and \`details\`, which fill the braces.

| exit code | meaning |
|---|---|
| ${EXIT.done} | done |
| ${EXIT.failed} | the operation failed |
| ${EXIT.usage} | usage: the command line or the config is wrong |
| ${EXIT.noSupervisor} | no supervisor runs |
| ${EXIT.deadline} | a deadline passed, as timeout(1) |
| ${EXIT.runFailed} | \`run\`: covet-pm itself failed; else it exits as the app did |
| 130, 141 | Ctrl-C while waiting; the reader of stdout left |

| code | exit | message |
|---|---|---|
${rows.join('\n')}

${generated('supervisor/protocol/errors.ts')}`;
}

function configPage() {
  const rows = Object.entries(appConfigSchema.entries).flatMap(([name, schema]) => fieldRows(name, schema));
  return `# Config of an app

What \`start --config app.json\`, the flags of \`start\` and \`run\`, and \`client.start({ config })\` take. Durations are milliseconds, sizes
bytes. A field without a flag is set with \`--set field=value\`.

\`\`\`json
{
  "name": "web",
  "script": "server.js",
  "instances": "max",
  "env": { "NODE_ENV": "production" },
  "probe": { "path": "/healthz" },
  "drainTimeoutMs": 20000
}
\`\`\`

| field | flag | takes | default | |
|---|---|---|---|---|
${rows.join('\n')}

${generated('supervisor/protocol/config.ts and dashboard/cli/app-flags.ts')}`;
}

/** A row for a field, and one for each field inside it. */
function fieldRows(name, schema) {
  const inner = objectEntries(schema);
  const flag = APP_FLAGS.find(({ field }) => field === name)?.flags ?? '';
  const fallback = v.getDefault(schema);
  const shown = inner !== undefined || fallback === undefined ? '' : code(JSON.stringify(fallback));
  const takes = inner === undefined ? takesText(schema) : 'an object';
  const row = `| ${code(name)} | ${code(flag)} | ${cell(takes)} | ${shown} | ${cell(v.getDescription(schema) ?? '')} |`;
  return [row, ...Object.entries(inner ?? {}).flatMap(([key, field]) => fieldRows(`${name}.${key}`, field))];
}

function objectEntries(schema) {
  const plain = schema.wrapped ?? schema.pipe?.find((part) => part.kind === 'schema') ?? schema;
  return plain === schema ? schema.entries : objectEntries(plain);
}

/** What a field says when it is given something impossible. */
function takesText(schema) {
  return v.safeParse(schema, Symbol('nothing takes this')).issues[0].message;
}

function cliPage() {
  const made = program({ json: false, quiet: false, noColour: false, appArgs: [] });
  return `# Command line

\`covet-pm <command> [options]\`, or \`covet\`. Every command takes \`--json\` (data for a program, on stdout), \`-q, --quiet\` (no messages) and
\`--no-color\`; NO_COLOR and FORCE_COLOR are honoured. Data goes to stdout, messages to stderr. Exit codes: [errors.md](errors.md).
Only \`start\`, \`run\` and \`resurrect\` start a supervisor. Its home is COVET_HOME, else systemd's directories, else root's or the user's own.

${made.commands.map(commandSection).join('\n')}
${generated('dashboard/cli/')}`;
}

function commandSection(command) {
  const names = [command.name(), ...command.aliases()].map((name) => `\`${name}\``).join(', ');
  const visible = command.options.filter(({ hidden }) => !hidden);
  const words = command.registeredArguments
    .filter(({ description }) => description !== '')
    .map((argument) => [`<${argument.name()}>`, argument.description]);
  const rows = [...words, ...visible.map((option) => [option.flags, option.description])].map(
    ([flags, text]) => `| \`${cell(flags)}\` | ${cell(text)} |`,
  );
  const options = rows.length === 0 ? '' : `\n| | |\n|---|---|\n${rows.join('\n')}\n`;
  return `## ${names}\n\n    covet-pm ${command.name()} ${command.usage()}\n\n${command.description()}\n${options}`;
}

function code(text) {
  return text === '' ? '' : `\`${cell(text)}\``;
}

function cell(text) {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function generated(source) {
  return `<!-- Written by scripts/docs.mjs from ${source}. -->\n`;
}

function readOrEmpty(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
