/** Sums of what leaving workers counted. Pure. */
import type { ConnectionCounts, DrainCounts } from './worker-wire.ts';

const NO_CONNECTIONS: ConnectionCounts = { http1: 0, http1Idle: 0, http2: 0, websocket: 0, sse: 0, raw: 0 };
export const NO_DRAIN: DrainCounts = { handedOver: 0, drained: NO_CONNECTIONS, idleClosed: 0, cut: NO_CONNECTIONS };

export function addDrain(a: DrainCounts, b: DrainCounts | null): DrainCounts {
  if (b === null) return a;
  return {
    handedOver: a.handedOver + b.handedOver,
    drained: add(a.drained, b.drained),
    idleClosed: a.idleClosed + b.idleClosed,
    cut: add(a.cut, b.cut),
  };
}

function add(a: ConnectionCounts, b: ConnectionCounts): ConnectionCounts {
  return {
    http1: a.http1 + b.http1,
    http1Idle: a.http1Idle + b.http1Idle,
    http2: a.http2 + b.http2,
    websocket: a.websocket + b.websocket,
    sse: a.sse + b.sse,
    raw: a.raw + b.raw,
  };
}
