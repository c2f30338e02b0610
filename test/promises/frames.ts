/** Seeded random frames for a line protocol: noise, broken JSON, JSON of the wrong shape, valid requests of unknown or wrong content. */

type Random = () => number;

const METHODS = [
  'list',
  'ping',
  'describe',
  'logs',
  'events',
  'start',
  'stop',
  'reload',
  'scale',
  '__proto__',
  'constructor',
  'toString',
  '',
  'kill ',
  'LIST',
];

/** One frame with its newline. None of them is a valid request that changes anything. */
export function randomFrame(random: Random): Buffer {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  switch (Math.floor(random() * 6)) {
    case 0:
      return Buffer.concat([
        Buffer.from(Array.from({ length: Math.floor(random() * 300) }, () => Math.floor(random() * 256)).filter((byte) => byte !== 10)),
        Buffer.from('\n'),
      ]);
    case 1:
      return Buffer.from(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'list' }).slice(0, Math.floor(random() * 40))}\n`);
    case 2:
      return Buffer.from(`${JSON.stringify(pick([null, 1, 'x', [], {}, [[]], true, { id: {} }, { method: 7 }, { jsonrpc: '1.0' }]))}\n`);
    case 3:
      return Buffer.from(`${'['.repeat(Math.floor(random() * 5_000))}\n`);
    case 4:
      return Buffer.from(
        `${JSON.stringify({ jsonrpc: '2.0', id: pick([1, -1, 1e308, 'x', null, {}, []]), method: pick(METHODS), params: wrongParams(pick, random) })}\n`,
      );
    default:
      return Buffer.from(
        `{"jsonrpc":"2.0","id":${Math.floor(random() * 1e9)},"method":"describe","params":{"app":"${'\\u0000'.repeat(Math.floor(random() * 20))}","__proto__":{"x":1}}}\n`,
      );
  }
}

/** None of these passes a schema of an operation that changes something. */
function wrongParams(pick: <T>(values: readonly T[]) => T, random: Random): unknown {
  return pick([
    undefined,
    null,
    1,
    'web',
    [],
    { app: 1 },
    { app: '' },
    { app: 'x'.repeat(Math.floor(random() * 2_000)) },
    { config: {} },
    { config: { name: '../..' } },
    { app: 'nobody', instances: -1 },
    { lines: -1 },
  ]);
}
