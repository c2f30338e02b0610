/** Addresses: what is asked for, its one key, and which two cannot be held at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressKey, askedAddress, loopbackOf, overlaps, parseListen } from '../../../supervisor/protocol/address.ts';

const asked = { host: null, port: 3_000, path: null, ipv6Only: false };

test('listen(3000) is one dual-stack socket, as Node makes it', () => {
  const address = askedAddress(asked)!;
  assert.deepEqual(address, { kind: 'tcp', host: '::', port: 3_000, dual: true });
  assert.equal(addressKey(address), 'tcp://[::]:3000');
});

test('explicit families get their own', () => {
  assert.equal(addressKey(askedAddress({ ...asked, host: '0.0.0.0' })!), 'tcp://0.0.0.0:3000');
  assert.deepEqual(askedAddress({ ...asked, ipv6Only: true }), { kind: 'tcp', host: '::', port: 3_000, dual: false });
  assert.equal(askedAddress({ ...asked, port: null, path: '\0abstract' }), null);
});

test('a datagram socket’s address is its own, also on the same port', () => {
  const address = askedAddress({ ...asked, host: '0.0.0.0', datagram: { reuseAddr: false } })!;
  assert.deepEqual(address, { kind: 'udp', host: '0.0.0.0', port: 3_000, dual: false, reuse: false });
  assert.equal(addressKey(address), 'udp://0.0.0.0:3000');
  assert.ok(!overlaps(address, askedAddress(asked)!));
  assert.ok(overlaps(address, { kind: 'udp', host: '::', port: 3_000, dual: true, reuse: true }));
});

test('a config’s listen takes URLs, ports and paths, and nothing else', () => {
  assert.deepEqual(parseListen('tcp://0.0.0.0:443'), { kind: 'tcp', host: '0.0.0.0', port: 443, dual: false });
  assert.deepEqual(parseListen('8080'), { kind: 'tcp', host: '::', port: 8_080, dual: true });
  assert.deepEqual(parseListen('[::1]:80'), { kind: 'tcp', host: '::1', port: 80, dual: false });
  assert.deepEqual(parseListen('unix:/run/a.sock'), { kind: 'unix', path: '/run/a.sock' });
  assert.deepEqual(parseListen('udp://[::]:53'), { kind: 'udp', host: '::', port: 53, dual: true, reuse: false });
  // A datagram socket is of the family that its host says.
  for (const bad of ['udp://53', 'udp://*:53', '', 'http://a', '70000', 'unix:a', 'tcp://300.1.1.1:1'])
    assert.equal(parseListen(bad), null, bad);
});

test('a wildcard covers what lies under it', () => {
  const at = (text: string): NonNullable<ReturnType<typeof parseListen>> => parseListen(text)!;
  assert.ok(overlaps(at('0.0.0.0:80'), at('127.0.0.1:80')));
  assert.ok(overlaps(at('80'), at('127.0.0.1:80')));
  assert.ok(!overlaps(at('127.0.0.1:80'), at('127.0.0.2:80')));
  assert.ok(!overlaps(at('80'), at('81')));
  assert.ok(overlaps(at('unix:/a'), at('unix:/a')));
});

test('this host reaches a listener by IPv4 where it takes both, for there may be no ::1', () => {
  const at = (host: string, dual = false): unknown => loopbackOf({ kind: 'tcp', host, port: 80, dual });
  assert.deepEqual(at('::', true), { host: '127.0.0.1', localAddress: '127.0.0.1' });
  assert.deepEqual(at('::'), { host: '::1', localAddress: '::1' });
  assert.deepEqual(at('0.0.0.0'), { host: '127.0.0.1', localAddress: '127.0.0.1' });
  assert.deepEqual(at('10.0.0.7'), { host: '10.0.0.7', localAddress: '127.0.0.1' });
});
