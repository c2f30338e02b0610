/**
 * Does a request on a connection that stays open cost more under covet-pm? 64 connections, one request at a time on each.
 *
 * Unit: server CPU microseconds per request, all processes. Wrong for the same reasons as bench/connections.ts.
 */
import { askThroughput } from './throughput.ts';

await askThroughput({
  name: 'keepalive',
  question: 'What does a request on a kept connection cost the server?',
  unit: 'request',
  client: 'keepalive',
  requests: 30_000,
  parallel: 64,
  warmUp: 30_000,
  claims: [['cluster NONE', { kind: 'no difference' }]],
});
