/**
 * Faults of an app's config that no single field shows. Judged twice, as the schema is: by the CLI, so that a wrong word starts no
 * supervisor, and by the supervisor that is to run it.
 */
import { parseListen } from './address.ts';
import type { AppConfig } from './config.ts';
import { CovetError } from './errors.ts';

/** `uid` is the supervisor's. Throws COVET_ERR_CONFIG_FIELD, COVET_ERR_CONFIG_CONFLICT. */
export function checkConflicts(config: AppConfig, uid: number): void {
  const isBad = (text: string): boolean => {
    const address = parseListen(text);
    return address === null || (address.kind !== 'unix' && address.port === 0);
  };
  const bad = config.listen.find(isBad);
  const expected = 'tcp://host:port, a port (not 0), udp://host:port, or unix:/path';
  if (bad !== undefined) throw new CovetError('COVET_ERR_CONFIG_FIELD', { field: 'listen', expected, got: bad });
  const reason = conflictOf(config, uid);
  if (reason !== null) throw new CovetError('COVET_ERR_CONFIG_CONFLICT', { reason });
}

/** `allowed` are the supervisor's CPUs. A host that has fewer later on only ends the pinning (pin-policy.ts). Throws COVET_ERR_CONFIG_FIELD. */
export function checkPin({ pin }: AppConfig, allowed: readonly number[]): void {
  const missing = missingCpus(pin, allowed);
  if (missing.length === 0) return;
  const expected = `CPUs of those that the supervisor may use (${allowed.join(',')})`;
  throw new CovetError('COVET_ERR_CONFIG_FIELD', { field: 'pin', expected, got: missing.join(',') });
}

/** Which CPUs of a config's list are not among `allowed`. */
export function missingCpus(pin: AppConfig['pin'], allowed: readonly number[]): readonly number[] {
  return Array.isArray(pin) ? pin.filter((cpu) => !allowed.includes(cpu)) : [];
}

function conflictOf(config: AppConfig, supervisorUid: number): string | null {
  const { uid, gid, instances = 1, memoryHighBytes = 0, memoryMaxBytes = Infinity, minHealthyMs, readyTimeoutMs } = config;
  if (uid !== undefined && supervisorUid !== 0 && uid !== supervisorUid)
    return `\`uid\` ${uid} needs a supervisor that runs as root; this one is uid ${supervisorUid}.`;
  if (gid !== undefined && uid === undefined) return '`gid` needs `uid` beside it.';
  if (config.onlyOne && instances !== 1) return `\`onlyOne\` and \`instances\` ${instances} exclude each other.`;
  if (memoryHighBytes > memoryMaxBytes)
    return `\`memoryHighBytes\` (${memoryHighBytes}) is above \`memoryMaxBytes\` (${memoryMaxBytes}): it would never be reached.`;
  if (minHealthyMs > readyTimeoutMs)
    return `\`minHealthyMs\` (${minHealthyMs}) is longer than \`readyTimeoutMs\` (${readyTimeoutMs}): no worker could be ready.`;
  return null;
}
