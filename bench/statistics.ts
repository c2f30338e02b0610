/**
 * The statistics of all benchmarks, pure. A figure is a median with its 95 % interval from order statistics (the sign test turned
 * round: no assumption about the distribution but independence), and a claim about it is met, not met, or not resolved: an
 * interval that straddles the limit says nothing, and is said to say nothing.
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
  | { readonly kind: 'at most'; readonly limit: number }
  | { readonly kind: 'at least'; readonly limit: number }
  /** The ratio's whole interval lies within NO_DIFFERENCE. */
  | { readonly kind: 'no difference' };

export type Verdict = 'met' | 'not resolved' | 'not met';

/** What counts as no difference between two medians of which smaller is better. */
export const NO_DIFFERENCE: Interval = { low: 0.95, high: 1.1 };
/** Below this many pairs no verdict is given. */
export const PAIRS_MIN = 15;
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
  if (ours.length !== theirs.length)
    throw new RangeError(`Expected as many samples on both sides, got ${ours.length} and ${theirs.length}`);
  return figureOf(ours.map((value, i) => value / theirs[i]!));
}

export function judge(figure: Figure, claim: Claim): Verdict {
  if (figure.n < PAIRS_MIN) return 'not resolved';
  switch (claim.kind) {
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
