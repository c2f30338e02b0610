/** `health`: one line. */
import type { HealthView } from '../../../supervisor/protocol/operations.ts';
import { visible } from './visible.ts';
import type { Style } from './style.ts';

export function printHealth({ isHealthy, reason }: HealthView, style: Style): string {
  return `${isHealthy ? 'healthy' : 'unhealthy'}: ${visible(style, reason)}\n`;
}
