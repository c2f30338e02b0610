/**
 * This source as a later release: in each format that crosses a process or a restart it has a field more, leaves out one that may be left out, and
 * says something that this release has never heard of. Until there are two releases it stands for the second one.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './root.ts';

const SOURCES = ['supervisor', 'worker', 'dashboard', 'native', 'scripts', 'prebuilds', 'binding.gyp', 'package.json', 'tsconfig.json'];

export type Edit = readonly [file: string, from: string, to: string];

/** Requests, answers and notifications on the control socket. */
const CONTROL: readonly Edit[] = [
  ['supervisor/protocol/operations.ts', 'v.strictObject({ app: appName', 'v.strictObject({ later: v.optional(v.boolean()), app: appName'],
  ['supervisor/protocol/operations.ts', 'app: v.optional(appName)', 'later: v.optional(v.boolean()), app: v.optional(appName)'],
  [
    'dashboard/connection.ts',
    'method, params, client: VERSION }',
    "method, params: { ...(params as object), ...('app' in (params as object) ? { later: true } : {}) }, client: VERSION, later: true }",
  ],
  [
    'supervisor/control/connection.ts',
    'id, ...said, result }',
    'id, ...said, later: true, result: { ...(result as object), later: true } }',
  ],
  [
    'supervisor/control/connection.ts',
    '    const context: OperationContext = {',
    "    this.#send({ jsonrpc: '2.0', method: 'later', params: 7 } as never);\n    const context: OperationContext = {",
  ],
];
/** Requests to covet-init, and the state that a supervisor takes into the covet-init that it becomes. */
const INIT: readonly Edit[] = [
  [
    'supervisor/init/init-client.ts',
    'encodeInitPacket({ verb, id, fields })',
    "encodeInitPacket({ verb, id, fields: { ...fields, later: '1' } })",
  ],
  [
    'supervisor/init/init-client.ts',
    '    const id = ++this.#lastId;\n',
    "    if (verb === 'worker' || verb === 'ready') this.tell('later', { what: 'ever' });\n    const id = ++this.#lastId;\n",
  ],
  ['supervisor/init/state.ts', '...records]', "...records, { verb: 'later', fields: { what: 'ever' }, fds: [] }]"],
];
/** What worker and supervisor say to each other. */
const WORKER: readonly Edit[] = [
  [
    'worker/channel.ts',
    '`${JSON.stringify(message)}\\n`',
    '`${JSON.stringify({ t: "later" })}\\n${JSON.stringify({ ...message, later: true })}\\n`',
  ],
  ['worker/lender.ts', 'JSON.stringify(request)', 'JSON.stringify({ ...request, later: true })'],
  [
    'supervisor/slots/worker-handle.ts',
    '`${JSON.stringify(message)}\\n`',
    '`${JSON.stringify({ t: "later" })}\\n${JSON.stringify({ ...message, later: true })}\\n`',
  ],
  ['supervisor/slots/worker-handle.ts', 'JSON.stringify(notice)', 'JSON.stringify({ ...notice, later: true })'],
  ['supervisor/slots/worker-handle.ts', 'JSON.stringify(reply)', 'JSON.stringify({ ...reply, later: true })'],
  ['supervisor/apps/hiring.ts', ', preload: preloadPath() }', ' }'],
  ['supervisor/apps/hiring.ts', 'JSON.stringify(boot)', 'JSON.stringify({ ...boot, later: true })'],
];
/** What lasts: the wanted state, where an app has an option more and one left out, and the notes in covet-init. */
const STATE: readonly Edit[] = [
  [
    'supervisor/protocol/config.ts',
    'export const appConfigSchema = v.strictObject({',
    'export const appConfigSchema = v.strictObject({\n  later: v.optional(v.number(), 7),',
  ],
  [
    'supervisor/protocol/config.ts',
    'const probe = v.strictObject({',
    'const probe = v.strictObject({\n  later: v.optional(v.number(), 7),',
  ],
  [
    'supervisor/state/wanted.ts',
    'apps: [...records.values()] }',
    'later: true, apps: [...records.values()].map(({ isDeleting, ...record }) => ({ ...record, ...(isDeleting ? { isDeleting } : {}), later: true })) }',
  ],
  [
    'supervisor/init/notes.ts',
    'this.#write(key, JSON.stringify(value));',
    "this.#write(key, JSON.stringify({ ...value, later: true }));\n    if (key.startsWith('app:')) this.#write(`later:${key}`, '{}');",
  ],
];

/** Answers with its package's folder, in `folder`. */
export function laterRelease(folder: string, version: string): string {
  const root = repositoryRoot();
  const made = join(folder, `package-${version}`);
  mkdirSync(made);
  for (const part of SOURCES) cpSync(join(root, part), join(made, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(made, 'node_modules'));
  const manifest = JSON.parse(readFileSync(join(made, 'package.json'), 'utf8')) as object;
  writeFileSync(join(made, 'package.json'), JSON.stringify({ ...manifest, version }));
  for (const each of [...CONTROL, ...INIT, ...WORKER, ...STATE]) edit(made, each);
  execFileSync(process.execPath, [join(made, 'scripts/build.mjs'), '--no-types'], { cwd: made, stdio: 'inherit' });
  return made;
}

/** In the source below `folder`. Throws when it no longer has what is to be changed. */
export function edit(folder: string, [file, from, to]: Edit): void {
  const path = join(folder, file);
  const text = readFileSync(path, 'utf8');
  if (!text.includes(from))
    throw new Error(`Expected ${JSON.stringify(from)} in ${file}, which has changed: change what the later release does there`);
  writeFileSync(path, text.replaceAll(from, to));
}
