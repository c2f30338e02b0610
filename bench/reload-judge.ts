/** What of a reload benchmark is a fault: anything lost, too little asked to mean something, or a kept connection that was opened again. Pure. */
import type { Tally } from '../test/load/tally.ts';

export interface Account {
  readonly tally: Tally;
  readonly connections: number;
  /** Its connections are handed over, and so the same ones throughout. */
  readonly keeps: boolean;
}

/** In sentences; none when the run is good. */
export function faultsOf(accounts: readonly Account[], requestsMin: number): string[] {
  const requests = accounts.reduce((sum, { tally }) => sum + tally.requests, 0);
  const lost = accounts.reduce((sum, { tally }) => sum + tally.lost, 0);
  const reopened = accounts.filter(({ tally, connections, keeps }) => keeps && tally.opened !== connections);
  return [
    ...(lost > 0 ? [`${lost} requests were lost`] : []),
    ...(requests < requestsMin ? [`Expected ${requestsMin} requests or more, got ${requests}: it says nothing about so many`] : []),
    ...reopened.map(
      ({ tally, connections }) => `Expected ${tally.client} to keep its ${connections} connections, got ${tally.opened} opened`,
    ),
  ];
}
