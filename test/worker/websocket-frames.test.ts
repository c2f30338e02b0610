/**
 * The frame tracker against random streams of frames in random pieces: a close frame of ours never lands within one. The same without
 * the tracker tears many.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import { FrameTracker } from '../../worker/websocket-frames.ts';
import { seededRandom, testSeed } from '../seed.ts';

const STREAMS = 500;
const HEAD = Buffer.from('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n');
const GOING_AWAY = Buffer.from([0x88, 2, 0x03, 0xe9]);

test('a close frame lands between two frames, whatever the pieces', (t) => {
  const seed = testSeed();
  t.diagnostic(`COVET_TEST_SEED=${seed}`);
  const random = seededRandom(seed);
  let torn = 0;
  for (let i = 0; i < STREAMS; i++) {
    const out: Buffer[] = [];
    const tracker = new FrameTracker((chunk) => out.push(chunk));
    const pieces = randomPieces(random);
    const askAt = Math.floor(random() * pieces.length);
    pieces.forEach((piece, index) => {
      out.push(piece);
      tracker.push(piece);
      if (index >= askAt && !tracker.isClosing) tracker.sendGoingAway();
    });
    assert.equal(readFrames(Buffer.concat(out)).at(-1), 'whole', `stream ${i} of seed ${seed}`);
    assert.equal(tracker.isClosing, true, `stream ${i} of seed ${seed}`);
    const blind = [...pieces.slice(0, askAt + 1), GOING_AWAY, ...pieces.slice(askAt + 1)];
    if (readFrames(Buffer.concat(blind)).includes('torn')) torn++;
  }
  assert.ok(torn > STREAMS / 10, `Expected the blind way to tear frames, got ${torn} of ${STREAMS}`);
});

test('nothing is sent on what is no WebSocket, nor before it is open', () => {
  const sent: Buffer[] = [];
  const tracker = new FrameTracker((chunk) => sent.push(chunk));
  assert.equal(tracker.sendGoingAway(), false);
  tracker.push(Buffer.from('HTTP/1.1 401 Unauthorized\r\n\r\n'));
  assert.equal(tracker.sendGoingAway(), false);
  assert.deepEqual(sent, []);
});

/** A 101 response and frames whose payload is 0xEE throughout, ending between two frames, cut anywhere. */
function randomPieces(random: () => number): Buffer[] {
  const frames = Array.from({ length: 1 + Math.floor(random() * 8) }, () => frame(Math.floor(random() ** 4 * 90_000)));
  const all = Buffer.concat([HEAD, ...frames]);
  const pieces: Buffer[] = [];
  for (let at = 0; at < all.length;) {
    const size = 1 + Math.floor(random() ** 3 * 20_000);
    pieces.push(all.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

function frame(length: number): Buffer {
  const payload = Buffer.alloc(length, 0xee);
  if (length < 126) return Buffer.concat([Buffer.from([0x82, length]), payload]);
  const head = Buffer.alloc(length < 65_536 ? 4 : 10);
  head[0] = 0x82;
  head[1] = length < 65_536 ? 126 : 127;
  if (length < 65_536) head.writeUInt16BE(length, 2);
  else head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
}

/** A reader of its own: per frame whether its payload is as it was written. */
function readFrames(stream: Buffer): ('whole' | 'torn')[] {
  const read: ('whole' | 'torn')[] = [];
  for (let at = HEAD.length; at < stream.length;) {
    const short = stream[at + 1] ?? 0;
    const length = short === 126 ? stream.readUInt16BE(at + 2) : short === 127 ? Number(stream.readBigUInt64BE(at + 2)) : short;
    const start = at + 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
    const payload = stream.subarray(start, start + length);
    const isClose = stream[at] === 0x88 && length === 2;
    const isWhole = payload.length === length && (isClose || (stream[at] === 0x82 && payload.every((byte) => byte === 0xee)));
    read.push(isWhole && stream.subarray(0, HEAD.length).equals(HEAD) ? 'whole' : 'torn');
    if (!isWhole) break;
    at = start + length;
  }
  return read;
}
