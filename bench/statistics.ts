/**
 * The statistics of all benchmarks, pure. A figure is a median with its 95 % interval from order statistics (the sign test turned
 * round: no assumption about the distribution but independence), and a claim about it is met, not met, or not resolved.
 *
 * Speed is a ratio in one run, of PAIRS_MIN interleaved pairs or more. "At most r" is met when the interval begins at or below r and is
 * no wider than HALF_WIDTH_MAX to each side, and not met when it begins above r. "No difference" is met when the interval lies
 * within NO_DIFFERENCE, not met when it lies outside. An amount (MB, ms, MB/s) has no such scale: its whole interval must be on one
 * side of the limit. Whatever else is not resolved.
 */

export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface Figure extends Interval {
  readonly median: number;
  readonly n: number;
}

export type Claim =
  /** Of a ratio. */
  | { readonly kind: 'ratio at most'; readonly limit: number }
  | { readonly kind: 'no difference' }
  /** Of an amount. */
  | { readonly kind: 'at most'; readonly limit: number }
  | { readonly kind: 'at least'; readonly limit: number };

export type Verdict = 'met' | 'not resolved' | 'not met';

/** What counts as no difference between two medians of which smaller is better. */
const NO_DIFFERENCE: Interval = { low: 0.95, high: 1.1 };
/** Below this many pairs no verdict is given. */
const PAIRS_MIN = 15;
/** Half of a ratio's interval; a wider one says too little. */
const HALF_WIDTH_MAX = 0.05;
/** Machines differ, and others use them: a smaller ratio is for a reader to judge, and never breaks a build. */
const BUILD_RATIO_MIN = 1.5;
/** Of a half-width that is 0.05 but for how binary fractions are rounded. */
const ROUNDING = 1e-9;
const TAIL = 0.025;

/** Median and interval. With fewer than six samples there is no 95 % interval, and it is all of the line. */
export function figureOf(samples: readonly number[]): Figure {
  if (samples.length === 0) throw new RangeError('Expected at least one sample');
  const sorted = samples.toSorted((a, b) => a - b);
  const rank = lowestRank(sorted.length);
  const interval = rank === 0 ? { low: -Infinity, high: Infinity } : { low: sorted[rank - 1]!, high: sorted[sorted.length - rank]! };
  return { median: percentile(sorted, 0.5), n: sorted.length, ...interval };
}

/** Pair by pair, ours over theirs: what disturbs one round disturbs both its halves. */
export function ratioOf(ours: readonly number[], theirs: readonly number[]): Figure {
  return figureOf(paired(ours, theirs, (one, other) => one / other));
}

/** Pair by pair, ours less theirs. */
export function differenceOf(ours: readonly number[], theirs: readonly number[]): Figure {
  return figureOf(paired(ours, theirs, (one, other) => one - other));
}

function paired(ours: readonly number[], theirs: readonly number[], compare: (one: number, other: number) => number): number[] {
  if (ours.length !== theirs.length)
    throw new RangeError(`Expected as many samples on both sides, got ${ours.length} and ${theirs.length}`);
  return ours.map((value, i) => compare(value, theirs[i]!));
}

export function judge(figure: Figure, claim: Claim): Verdict {
  if (figure.n < PAIRS_MIN) return 'not resolved';
  switch (claim.kind) {
    case 'ratio at most':
      if (figure.low > claim.limit) return 'not met';
      return (figure.high - figure.low) / 2 <= HALF_WIDTH_MAX + ROUNDING ? 'met' : 'not resolved';
    case 'at most':
      return figure.high <= claim.limit ? 'met' : figure.low > claim.limit ? 'not met' : 'not resolved';
    case 'at least':
      return figure.low >= claim.limit ? 'met' : figure.high < claim.limit ? 'not met' : 'not resolved';
    case 'no difference': {
      if (figure.low >= NO_DIFFERENCE.low && figure.high <= NO_DIFFERENCE.high) return 'met';
      return figure.high < NO_DIFFERENCE.low || figure.low > NO_DIFFERENCE.high ? 'not met' : 'not resolved';
    }
  }
}

/** Whether a build must fail of it: a ratio that is not what was claimed, and surely BUILD_RATIO_MIN or more. */
export function breaksBuild(figure: Figure, claim: Claim): boolean {
  const isRatio = claim.kind === 'ratio at most' || claim.kind === 'no difference';
  return isRatio && judge(figure, claim) === 'not met' && figure.low >= BUILD_RATIO_MIN;
}

/** Of a sorted list, between neighbours in proportion. */
export function percentile(sorted: readonly number[], p: number): number {
  if (sorted.length === 0) throw new RangeError('Expected at least one sample');
  const at = (sorted.length - 1) * p;
  const below = sorted[Math.floor(at)]!;
  const above = sorted[Math.ceil(at)]!;
  return below + (above - below) * (at - Math.floor(at));
}

/** The largest k with P(Binomial(n, ½) < k) ≤ 2.5 %: the k-th smallest and k-th largest sample bound the median at 95 %. 0: none does. */
function lowestRank(n: number): number {
  let probability = 0.5 ** n;
  let sum = 0;
  let k = 0;
  while (k < n && sum + probability <= TAIL) {
    sum += probability;
    probability *= (n - k) / (k + 1);
    k++;
  }
  return k;
}
