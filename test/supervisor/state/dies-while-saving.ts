/**
 * Saves generation 2 of app `a` in the wanted state at argv[2], and is killed before the argv[3]-th thing that it does to the disk for that; in the
 * middle of it where it is the write itself. Ends by itself where there are fewer.
 */
import promises, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { WantedState } from '../../../supervisor/state/wanted.ts';

const [, , path = '', moment = ''] = process.argv;
const state = new WantedState(path);
await state.load();
let done = 0;
const { open, copyFile, rename } = promises;
promises.open = async (...args) => watched(await at(async () => open(...args)));
promises.copyFile = async (...args) => at(async () => copyFile(...args));
promises.rename = async (...args) => at(async () => rename(...args));
syncBuiltinESMExports();
await state.save('a', (record) => ({ ...record!, lastGeneration: 2 }));

function watched(file: FileHandle): FileHandle {
  const [writeFile, sync, close] = [file.writeFile.bind(file), file.sync.bind(file), file.close.bind(file)];
  file.writeFile = async (data) => {
    const text = data as string;
    const half = async (): Promise<void> => writeFile(text.slice(0, text.length / 2));
    await at(async () => writeFile(text), half);
  };
  file.sync = async () => at(sync);
  file.close = async () => at(close);
  return file;
}

async function at<T>(run: () => Promise<T>, before?: () => Promise<void>): Promise<T> {
  if (++done === Number(moment)) {
    await before?.();
    process.kill(process.pid, 'SIGKILL');
  }
  return run();
}
