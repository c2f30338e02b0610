/**
 * Decoders of what a worker says. A worker is not trusted: whatever does not fit is an error, told to the caller as one sentence.
 */
import * as v from 'valibot';
import type { LendRequest, WorkerMessage } from '../protocol/worker-wire.ts';

const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const key = v.pipe(v.string(), v.maxLength(512));
const connections = v.object({ http1: count, http1Idle: count, http2: count, websocket: count, sse: count, raw: count });

const message = v.variant('t', [
  v.object({
    t: v.literal('hello'),
    min: count,
    max: count,
    pid: count,
    node: key,
    listeners: v.pipe(v.array(key), v.maxLength(1_024)),
    ready: v.boolean(),
  }),
  v.object({ t: v.literal('listening'), listener: key, own: v.exactOptional(v.boolean()) }),
  v.object({ t: v.literal('closed'), listener: key }),
  v.object({ t: v.literal('loaded') }),
  v.object({ t: v.literal('ready') }),
  v.object({ t: v.literal('message'), data: v.unknown() }),
  v.object({ t: v.literal('signals'), sigterm: v.boolean(), sigint: v.boolean() }),
  v.object({ t: v.literal('draining'), open: connections }),
  v.object({ t: v.literal('drained'), counts: v.object({ handedOver: count, drained: connections, idleClosed: count, cut: connections }) }),
]);

const lend = v.object({
  t: v.literal('lend'),
  host: v.nullable(v.pipe(v.string(), v.maxLength(255))),
  port: v.nullable(v.pipe(count, v.maxValue(65_535))),
  path: v.nullable(v.pipe(v.string(), v.maxLength(4_096))),
  ipv6Only: v.boolean(),
  backlog: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2_147_483_647)),
  datagram: v.exactOptional(v.object({ reuseAddr: v.boolean(), answersOnly: v.exactOptional(v.boolean()) })),
});

const kinds: ReadonlySet<unknown> = new Set(message.options.map((option) => option.entries.t.literal));

/** null for a kind that this release does not know: the worker's preload may be of a later one. Throws SyntaxError or ValiError. */
export function decodeWorkerMessage(line: string): WorkerMessage | null {
  const json: unknown = JSON.parse(line);
  const kind = (json as { t?: unknown } | null)?.t;
  return typeof kind === 'string' && !kinds.has(kind) ? null : v.parse(message, json);
}

/** Throws SyntaxError or ValiError. */
export function decodeLendRequest(text: string): LendRequest {
  return v.parse(lend, JSON.parse(text));
}
