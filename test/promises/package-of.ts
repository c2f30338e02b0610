/** This package as npm would install it, of another version. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './root.ts';

/** Answers with its folder, in `folder`. */
export function packageOf(folder: string, version: string): string {
  const root = repositoryRoot();
  const { version: own } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const made = join(folder, `package-${version}`);
  mkdirSync(made);
  for (const part of ['dist', 'prebuilds', 'package.json']) cpSync(join(root, part), join(made, part), { recursive: true });
  const programs = readdirSync(join(made, 'dist')).filter((file) => /\.[cm]js$/.test(file));
  for (const file of ['package.json', ...programs.map((name) => join('dist', name))]) {
    const path = join(made, file);
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(`"${own}"`, `"${version}"`));
  }
  return made;
}
