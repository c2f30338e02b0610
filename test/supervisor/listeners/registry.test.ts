/** Who may have an address: one app, on one protocol, and a privileged port only when the config lists that very one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseListen, type Address } from '../../../supervisor/protocol/address.ts';
import type { Listener } from '../../../supervisor/listeners/listener.ts';
import { judge, ListenerRegistry } from '../../../supervisor/listeners/registry.ts';

const at = (text: string): Address => parseListen(text)!;
const listener = (text: string, ordinal: number | null = null): Listener =>
  ({ address: at(text), key: text, ordinal, condition: 'open' }) as unknown as Listener;

test('a port under 1024 is allowed by its own protocol’s entry alone', () => {
  const listed = [at('udp://0.0.0.0:53')];
  assert.equal(judge(at('udp://0.0.0.0:53'), 1_000, listed), null);
  assert.equal(judge(at('tcp://0.0.0.0:53'), 1_000, listed)?.code, 'EACCES');
  assert.equal(judge(at('udp://0.0.0.0:53'), 1_000, [at('tcp://0.0.0.0:53')])?.code, 'EACCES');
  assert.equal(judge(at('udp://0.0.0.0:53'), 0, []), null);
});

test('two apps may have one number, one by TCP and the other by UDP, but not by the same', () => {
  const registry = new ListenerRegistry();
  const make = (text: string) => () => listener(text);
  registry.acquire('dns', at('udp://0.0.0.0:5353'), null, make('udp://0.0.0.0:5353'));
  const tcp = registry.acquire('web', at('tcp://0.0.0.0:5353'), null, make('tcp://0.0.0.0:5353'));
  assert.equal('key' in tcp && tcp.key, 'tcp://0.0.0.0:5353');
  const second = registry.acquire('other', at('udp://127.0.0.1:5353'), null, make('udp://127.0.0.1:5353'));
  assert.deepEqual('code' in second && [second.code, second.reason], [
    'EADDRINUSE',
    'udp://127.0.0.1:5353 is held by `dns` as udp://0.0.0.0:5353',
  ]);
});

test('the first bind(0) of an app is not its first listen(0)', () => {
  const registry = new ListenerRegistry();
  const tcp = registry.acquire('web', { kind: 'tcp', host: '0.0.0.0', port: 0, dual: false }, 0, () => listener('tcp://0.0.0.0:40000', 0));
  const zero: Address = { kind: 'udp', host: '0.0.0.0', port: 0, dual: false, reuse: false };
  const udp = registry.acquire('web', zero, 0, () => listener('udp://0.0.0.0:40001', 0));
  assert.notEqual(udp, tcp);
  assert.equal(
    registry.acquire('web', zero, 0, () => listener('udp://0.0.0.0:40002', 0)),
    udp,
  );
});
