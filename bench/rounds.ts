/**
 * Interleaved rounds: in each, every contender is measured once, in an order that turns round every other time, so that what
 * disturbs the machine disturbs all alike and a pair is two figures of one round. A round in which a saturated server got less than
 * CPU_SHARE_MIN of its CPU is thrown out and run again, counted; after too many the rest is kept as it is and said.
 */
import { execFileSync } from 'node:child_process';
import type { Contender, ContenderName } from './contenders.ts';
import { CLIENT_CPU, compiled, cpuMicros, onCpu } from './machine.ts';

export const CPU_SHARE_MIN = 0.8;

/** One contender in one round. */
export interface Sample {
  readonly cpuMicrosEach: number;
  readonly perSecond: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  readonly maxMicros: number;
  /** Part of the server's CPU that the server got. */
  readonly cpuShare: number;
  /** Requests not answered as they should have been. */
  readonly errors: number;
}

export interface Rounds {
  readonly samples: ReadonlyMap<ContenderName, readonly Sample[]>;
  readonly notes: readonly string[];
}

export interface RoundOptions {
  /** A program of bench/load. */
  readonly client: 'connections' | 'keepalive';
  readonly rounds: number;
  readonly requests: number;
  readonly parallel: number;
  /** Asked of each contender before the first round, for the JIT. */
  readonly warmUp: number;
}

interface ClientOutput {
  readonly ok: number;
  readonly seconds: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  readonly maxMicros: number;
}

export function runRounds(contenders: readonly Contender[], options: RoundOptions): Rounds {
  const program = compiled(options.client);
  for (const contender of contenders) measure(program, contender, { ...options, requests: options.warmUp });
  const samples = new Map<ContenderName, Sample[]>(contenders.map(({ name }) => [name, []]));
  let kept = 0;
  let thrownOut = 0;
  let starved = 0;
  for (let round = 0; kept < options.rounds; round++) {
    const order = round % 2 === 0 ? contenders : contenders.toReversed();
    const results = order.map((contender) => [contender.name, measure(program, contender, options)] as const);
    const isStarved = results.some(([, sample]) => sample.cpuShare < CPU_SHARE_MIN);
    if (isStarved && thrownOut < options.rounds) {
      thrownOut++;
      continue;
    }
    if (isStarved) starved++;
    kept++;
    for (const [name, sample] of results) samples.get(name)?.push(sample);
  }
  const notes = [`${thrownOut} of ${thrownOut + kept} rounds thrown out: a server got less than ${CPU_SHARE_MIN * 100} % of its CPU`];
  if (starved > 0)
    notes.push(
      `${starved} rounds kept although a server was starved: the machine gave no better ones, read throughput and latency with care`,
    );
  return { samples, notes };
}

function measure(program: string, { port, pids }: Contender, { requests, parallel }: RoundOptions): Sample {
  const [file = '', ...args] = onCpu(CLIENT_CPU, [program, String(port), String(requests), String(parallel)]);
  const processes = pids();
  const before = cpuMicros(processes);
  const output = JSON.parse(execFileSync(file, args, { encoding: 'utf8' })) as ClientOutput;
  const cpu = cpuMicros(processes) - before;
  return {
    cpuMicrosEach: cpu / requests,
    perSecond: output.ok / output.seconds,
    p50Micros: output.p50Micros,
    p99Micros: output.p99Micros,
    maxMicros: output.maxMicros,
    cpuShare: cpu / (output.seconds * 1_000_000),
    errors: requests - output.ok,
  };
}
