/**
 * What does a new connection cost the server? One GET with `Connection: close` on each, 64 at a time, 200 source addresses.
 *
 * Unit: server CPU microseconds per connection, all processes. The answer is wrong when the client is the bottleneck (it has a CPU
 * of its own and is C++), when conntrack or another's load is measured (own network namespace; starved rounds are thrown out), or
 * when a contender's JIT is cold (6,000 connections of warm-up each).
 */
import { askThroughput } from './throughput.ts';

await askThroughput({
  name: 'connections',
  question: 'What does a new connection cost the server?',
  unit: 'connection',
  client: 'connections',
  requests: 6_000,
  parallel: 64,
  warmUp: 6_000,
  claims: [
    ['cluster NONE', { kind: 'no difference' }],
    ['cluster RR', { kind: 'ratio at most', limit: 0.5 }],
    ['pm2', { kind: 'ratio at most', limit: 0.5 }],
  ],
});
