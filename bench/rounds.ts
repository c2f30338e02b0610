/**
 * Interleaved rounds: in each, every contender is measured once, in an order that turns round every other time, so that what
 * disturbs the machine disturbs all alike and a pair is two figures of one round. A round in which a server got less than CPU_SHARE_MIN
 * of its CPU is thrown out, said, and run again, at most as often as rounds are wanted: what is then missing leaves a claim unresolved.
 */
import { execFileSync } from 'node:child_process';
import type { Contender, ContenderName } from './contenders.ts';
import { CLIENT_CPU, compiled, cpuMicros, onCpu } from './machine.ts';

const CPU_SHARE_MIN = 0.8;

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
  readonly small: boolean;
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
  return collect(contenders, options.rounds, (contender) => measure(program, contender, options), options.small);
}

/** `small`: nothing is thrown out, for the figures mean nothing. Throws when every round was starved: there is nothing to report then. */
export function collect<C extends Pick<Contender, 'name'>>(
  contenders: readonly C[],
  rounds: number,
  measureOne: (contender: C) => Sample,
  small = false,
): Rounds {
  const samples = new Map<ContenderName, Sample[]>(contenders.map(({ name }) => [name, []]));
  let kept = 0;
  let thrownOut = 0;
  while (kept < rounds && thrownOut < rounds) {
    const order = (kept + thrownOut) % 2 === 0 ? contenders : contenders.toReversed();
    const results = order.map((contender) => [contender.name, measureOne(contender)] as const);
    if (!small && results.some(([, sample]) => sample.cpuShare < CPU_SHARE_MIN)) {
      thrownOut++;
      continue;
    }
    kept++;
    for (const [name, sample] of results) samples.get(name)?.push(sample);
  }
  const why = `a server got less than ${CPU_SHARE_MIN * 100} % of its CPU`;
  if (kept === 0)
    throw new Error(`Expected a round that can be kept, but in each of ${thrownOut} ${why}. Run it on a machine that is idle.`);
  return { samples, notes: [`${thrownOut} of ${thrownOut + kept} rounds thrown out: ${why}`] };
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
