/** Lines of a foreground's streams: as they are, or each as one JSON object. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appLine, ownLine, withoutLabels } from '../../supervisor/own-words.ts';

const AT = '2026-01-02T03:04:05.678Z';
const wallClock = (): Date => new Date(AT);
const text = { logFormat: 'text', wallClock } as const;
const json = { logFormat: 'json', wallClock } as const;

test('as text an app’s line is itself, and our own words say whose they are', () => {
  assert.equal(appLine(text, 'web', 'out', 'hello'), 'hello');
  assert.equal(ownLine(text, 'worker 0 exited', 'web'), 'covet-pm: worker 0 exited');
});

test('as JSON a line has the time and slot that stood before it in the log', () => {
  const line = appLine(json, 'web', 'err', '2025-12-31T23:59:59.999Z 3 a "quoted" \u001b[1mline');
  const message = 'a "quoted" \u001b[1mline';
  assert.deepEqual(JSON.parse(line), { time: '2025-12-31T23:59:59.999Z', app: 'web', slot: 3, stream: 'err', message });
});

test('as JSON a line that is JSON already is text in `message`, and an empty one is there too', () => {
  const said = '{"level":30,"msg":"up"}';
  assert.equal((JSON.parse(appLine(json, 'web', 'out', `${AT} 0 ${said}`)) as { message: string }).message, said);
  assert.equal((JSON.parse(appLine(json, 'web', 'out', `${AT} 0 `)) as { message: string }).message, '');
});

test('as JSON a line without labels has the time it was told, and no slot', () => {
  assert.deepEqual(JSON.parse(appLine(json, 'web', 'out', 'rest')), { time: AT, app: 'web', slot: null, stream: 'out', message: 'rest' });
  assert.deepEqual(JSON.parse(ownLine(json, 'two\nlines')), { time: AT, app: null, slot: null, stream: 'covet', message: 'two\nlines' });
});

test('labels are taken off again', () => {
  const options = { bytesMax: 0, filesMax: 0, stallMs: 0 };
  assert.equal(withoutLabels(`${AT} 12 Error: no`, { ...options, timestamps: true, slots: true }), 'Error: no');
  assert.equal(withoutLabels('12 Error: no', { ...options, timestamps: false, slots: true }), 'Error: no');
  assert.equal(withoutLabels('12 Error: no', { ...options, timestamps: false, slots: false }), '12 Error: no');
});
