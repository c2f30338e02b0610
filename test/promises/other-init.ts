/**
 * covet-init of a later release, as other-release.ts has the rest of it: each packet and each line of a state has a field more, what may be left out is
 * left out, and there is a message, with a descriptor, that this release has never heard of. It is compiled from patched sources, once for each state
 * of them, into build/later-init/.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Edit, edit } from './other-release.ts';
import { repositoryRoot } from './root.ts';

/** What the unknown message's descriptor leads to, in /proc/PID/fd: whoever does not know the message is not to keep it. */
export const LATER_DESCRIPTOR = '/memfd:covet-later (deleted)';

const LATER_MESSAGE = 'Writer("later", ID).add("what", "ever").take(), {laterDescriptor()}';
const unknown = (id: string): string => LATER_MESSAGE.replace('ID', id);

const DESCRIPTOR: Edit = [
  'init/packet_sink.h',
  'class PacketSink {',
  'inline int laterDescriptor() {\n  static int fd = memfd_create("covet-later", MFD_CLOEXEC);\n  return fd;\n}\n\nclass PacketSink {',
];
/** To the supervisor: at its hello, and unasked. */
const PACKETS: readonly Edit[] = [
  [
    'init/link.cc',
    '  if (isHeld_ || !waiting_.empty()) return queue',
    '  text += " later=1";\n  if (isHeld_ || !waiting_.empty()) return queue',
  ],
  ['init/requests.cc', '.add("watchdog", service_.watchdogMs())', ''],
  ['init/requests.cc', '  notes_.tell(link_, id);\n', `  link_.send(${unknown('id')});\n  notes_.tell(link_, id);\n`],
  [
    'init/requests.cc',
    '  if (verb == "worker") return',
    `  if (verb == "worker") link_.send(${unknown('0')});\n  if (verb == "worker") return`,
  ],
];
/** To the covet-init that takes its place. */
const STATE: readonly Edit[] = [
  ['init/state.cc', '    all += entry.text;\n', '    all += entry.text + " later=1";\n'],
  ['init/replace.cc', '  fdStore_.tell(to);\n', `  fdStore_.tell(to);\n  to.send(${unknown('0')});\n`],
  [
    'init/worker_records.cc',
    'text.add("stage", worker.stage_).add("errno", worker.errno_).add("line", worker.line_);',
    'text.add("errno", worker.errno_);\n' +
      '    if (!worker.stage_.empty()) text.add("stage", worker.stage_);\n' +
      '    if (!worker.line_.empty()) text.add("line", worker.line_);',
  ],
];
const INCLUDE: Edit = ['init/packet_sink.h', '#include <string>\n', '#include <string>\n\n#include <sys/mman.h>\n'];
/** As binding.gyp has it, without what makes it small. */
const FLAGS = ['-std=c++20', '-fno-exceptions', '-fno-rtti', '-static'];

/** Answers with the path of the program. */
export function laterInit(): string {
  const made = join(repositoryRoot(), 'build/later-init');
  const [native, program, stamp] = ['native', 'covet-init', 'made-of'].map((name) => join(made, name)) as [string, string, string];
  rmSync(native, { recursive: true, force: true });
  mkdirSync(made, { recursive: true });
  for (const part of ['init', 'sys']) cpSync(join(repositoryRoot(), 'native', part), join(native, part), { recursive: true });
  for (const each of [INCLUDE, DESCRIPTOR, ...PACKETS, ...STATE]) edit(native, each);
  const sources = readdirSync(native, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(cc|h)$/.test(name));
  const hash = createHash('sha256').update(JSON.stringify(FLAGS));
  for (const name of sources.toSorted()) hash.update(name).update(readFileSync(join(native, name)));
  const madeOf = hash.digest('hex');
  if (existsSync(program) && existsSync(stamp) && readFileSync(stamp, 'utf8') === madeOf) return program;
  const units = sources.filter((name) => name.endsWith('.cc'));
  execFileSync(process.env['CXX'] ?? 'g++', [...FLAGS, '-I', '.', ...units, '-o', program], { cwd: native, stdio: 'inherit' });
  writeFileSync(stamp, madeOf);
  return program;
}

/** Puts it into a package. */
export function withInit(folder: string, init: string): string {
  copyFileSync(init, join(folder, `prebuilds/linux-${process.arch}/covet-init`));
  return folder;
}
