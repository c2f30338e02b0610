/** What `run` shows: in order, bounded while nobody reads, and every dropped line counted. */
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, test } from 'node:test';
import { Outlet } from '../../supervisor/outlet.ts';

/** Takes what is written only when `read` is called. */
class Unread extends Writable {
  text = '';
  #taken: (() => void) | null = null;
  isRead = false;

  override _write(chunk: Buffer, _encoding: string, taken: () => void): void {
    this.text += chunk.toString();
    if (this.isRead) taken();
    else this.#taken = taken;
  }

  read(): void {
    this.isRead = true;
    this.#taken?.();
  }

  get lines(): string[] {
    return this.text.split('\n').slice(0, -1);
  }
}

let stream: Unread;
let said: string[] = [];
let outlet: Outlet;
beforeEach(() => {
  stream = new Unread({ highWaterMark: 1_024 });
  said = [];
  outlet = new Outlet(
    'stdout',
    stream,
    (text) => said.push(text),
    () => {},
  );
});

test('lines that waited for their reader come in order, none lost', async () => {
  const lines = Array.from({ length: 10_000 }, (_, i) => `line ${i}`);
  for (const line of lines) outlet.line(line);
  stream.read();
  await outlet.end();
  assert.deepEqual(stream.lines, lines);
  assert.deepEqual(said, []);
});

test('what nobody reads is bounded, by lines and by size, and said with its count', async () => {
  for (const text of ['', 'x'.repeat(1_000_000)]) {
    stream = new Unread({ highWaterMark: 1 });
    said = [];
    outlet = new Outlet(
      'stdout',
      stream,
      (words) => said.push(words),
      () => {},
    );
    const total = text === '' ? 200_000 : 40;
    for (let i = 0; i < total; i++) outlet.line(text);
    assert.deepEqual(said, ['stdout is not read: its lines are dropped until it is']);
    assert.ok(stream.writableLength <= text.length + 1, 'it piles up in the stream');
    stream.read();
    await outlet.end();
    const dropped = total - stream.lines.length;
    assert.ok(dropped > 0);
    assert.equal(said[1], `${dropped} lines for stdout were dropped: it was not read`);
    outlet.line('again');
    await turn();
    assert.equal(stream.lines.at(-1), 'again');
  }
});

test('an end without a reader comes all the same, and what waited counts as dropped', async () => {
  for (let i = 0; i < 1_000; i++) outlet.line('x'.repeat(100));
  await outlet.end();
  assert.match(said.join(), /^9\d\d lines for stdout were dropped/);
});
