/** `ping`: who answers. */
import type { PingView } from '../../../supervisor/protocol/operations.ts';

export function printPing({ version, supervisor, init }: PingView): string {
  return `covet-pm ${version} is running: supervisor pid ${supervisor.pid}, init pid ${init.pid}.\n`;
}
