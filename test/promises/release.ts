/**
 * An app as it is deployed: a folder per release and a `current` link that is switched in one step. A release's entry runs one of
 * test/fixtures/apps under the release's name, so that each answer says which build gave it.
 */
import { chmodSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { repositoryRoot } from './root.ts';

export class Deployment {
  /** What `start` is given. */
  readonly script: string;
  readonly #folder: string;
  readonly #entry: string;
  #links = 0;

  /** `fixture` decides the entry's kind: .cjs, .mjs, .ts or .py. */
  constructor(folder: string, fixture: string) {
    this.#folder = folder;
    this.#entry = `app${extname(fixture)}`;
    this.script = join(folder, 'current', this.#entry);
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o755);
    // As an installed app has them, for tsx and for what the fixtures import.
    symlinkSync(join(repositoryRoot(), 'node_modules'), join(folder, 'node_modules'));
    this.release('r1', fixture);
  }

  get folder(): string {
    return join(this.#folder, 'current');
  }

  /** Makes the release and points `current` at it. `text` instead of the fixture: for builds that are broken as text. */
  release(build: string, fixture: string, text = entryOf(fixture, build)): void {
    const folder = join(this.#folder, build);
    mkdirSync(folder);
    writeFileSync(join(folder, this.#entry), text);
    const link = join(this.#folder, `link-${++this.#links}`);
    symlinkSync(build, link);
    renameSync(link, join(this.#folder, 'current'));
  }

  /** Writes over the release that runs, as rsync and editors do. */
  overwrite(build: string, fixture: string): void {
    writeFileSync(this.script, entryOf(fixture, build));
  }
}

function entryOf(name: string, build: string): string {
  const fixture = join(repositoryRoot(), 'test/fixtures/apps', name);
  switch (extname(fixture)) {
    case '.cjs':
      return `process.env.BUILD = ${JSON.stringify(build)};\nrequire(${JSON.stringify(fixture)});\n`;
    case '.py':
      return `import os, runpy\nos.environ["BUILD"] = ${JSON.stringify(build)}\nrunpy.run_path(${JSON.stringify(fixture)}, run_name="__main__")\n`;
    case '.ts':
      // No top-level await: without a package.json that says otherwise the file may be taken for CommonJS.
      return `const build: string = ${JSON.stringify(build)};\nprocess.env.BUILD = build;\nvoid import(${JSON.stringify(fixture)});\n`;
    default:
      return `process.env.BUILD = ${JSON.stringify(build)};\nawait import(${JSON.stringify(fixture)});\n`;
  }
}
