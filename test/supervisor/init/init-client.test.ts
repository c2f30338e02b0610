/** The supervisor's side of covet-init's wire, against a covet-init that answers what the test says. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { InitClient, InitError } from '../../../supervisor/init/init-client.ts';
import { decodeInitPacket, encodeInitPacket, INIT_WIRE_VERSION, type InitPacket } from '../../../supervisor/protocol/init-wire.ts';
import { envIn } from '../core.ts';

type Answers = readonly Omit<InitPacket, 'id'>[];

/** A client whose hello is answered with these packets. */
function greeted(t: TestContext, answers: Answers): InitClient {
  const env = envIn(t);
  const [ours, theirs] = env.native.socketPair('seqpacket');
  const init = new env.native.PacketSocket(theirs);
  init.start(
    (text) => answers.forEach(({ verb, fields }) => init.send(encodeInitPacket({ verb, id: decodeInitPacket(text).id, fields }))),
    () => {},
  );
  const client = new InitClient(env, ours);
  t.after(() => {
    client.close();
    init.close();
  });
  return client;
}

const hello = (version: number): Answers => [
  { verb: 'hello', fields: { version: String(version), pid: '7', resumed: '1' } },
  { verb: 'end', fields: {} },
];

test('a covet-init of a version this supervisor speaks is greeted', async (t) => {
  for (const version of [INIT_WIRE_VERSION.min, INIT_WIRE_VERSION.max]) {
    const client = greeted(t, hello(version));
    await client.hello();
    assert.deepEqual({ pid: client.pid, isResumed: client.isResumed }, { pid: 7, isResumed: true });
  }
});

test('a covet-init of another version is refused with a sentence', async (t) => {
  for (const version of [INIT_WIRE_VERSION.min - 1, INIT_WIRE_VERSION.max + 1, NaN]) {
    await assert.rejects(greeted(t, hello(version)).hello(), {
      message:
        `Expected covet-init to speak a version from ${INIT_WIRE_VERSION.min} to ${INIT_WIRE_VERSION.max} of the wire between the two, ` +
        `got ${version}: it is of another release. Stop it and start covet-pm again.`,
    });
  }
});

test('a covet-init that refuses our versions is told of in the same words, another failure in its own', async (t) => {
  const refused = { verb: 'error', fields: { errno: '93', code: 'EPROTONOSUPPORT', syscall: 'hello' } };
  await assert.rejects(
    greeted(t, [refused]).hello(),
    ({ message, cause }: Error) =>
      /got a refusal .*EPROTONOSUPPORT.* another release\. Stop it/.test(message) && cause instanceof InitError,
  );
  const failed = { verb: 'error', fields: { errno: '12', code: 'ENOMEM', syscall: 'hello' } };
  await assert.rejects(greeted(t, [failed]).hello(), { code: 'ENOMEM', syscall: 'hello' });
});
