/**
 * What a supervisor whose covet-init was killed takes with it into the covet-init that it becomes: the packets of a hello, a line each, with the
 * numbers of their descriptors (native/init/state.h reads them). It holds a duplicate of everything, so nothing was closed by that death.
 */
import { encodeInitPacket } from '../protocol/init-wire.ts';

export interface StateRecord {
  readonly verb: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly fds: readonly number[];
}

/** The text, and every descriptor in it. */
export function encodeState(records: readonly StateRecord[]): { readonly text: string; readonly fds: readonly number[] } {
  const self: StateRecord = { verb: 'init', fields: { version: '1', ready: '1', signal: '0' }, fds: [] };
  const lines = [self, ...records].map(
    ({ verb, fields, fds }) =>
      `${encodeInitPacket({ verb, id: 0, fields: fds.length === 0 ? fields : { ...fields, fds: fds.join(',') } })}\n`,
  );
  return { text: lines.join(''), fds: [...new Set(records.flatMap(({ fds }) => fds))] };
}
