/**
 * A worker's listen(), answered: judged as its user, looked up in the registry, lent from its slot's half. Every refusal reaches the app
 * as Node's own error.
 */
import { InitError } from '../init/init-client.ts';
import { askedAddress, parseListen, type Address } from '../listeners/address.ts';
import { Listener } from '../listeners/listener.ts';
import { judge, type ListenerRegistry, type Refusal } from '../listeners/registry.ts';
import type { AppConfig } from '../protocol/config.ts';
import type { LendReply, LendRequest } from '../protocol/worker-wire.ts';
import type { Slot } from '../slots/slot.ts';

export interface Lender {
  readonly registry: ListenerRegistry;
  readonly config: AppConfig;
  /** The workers' user. */
  readonly uid: number;
  readonly lends: boolean;
  /** base64, 48 bytes, of this app. */
  readonly ticketKeys: string;
  makeListener(address: Address, ordinal: number | null): Listener;
  /** How many listen(0) this worker has asked for before. */
  countPortZero(slot: Slot): number;
  onRefused(slot: Slot, reason: string): void;
}

export async function lendTo(lender: Lender, slot: Slot, request: LendRequest): Promise<{ reply: LendReply; fd?: number }> {
  const address = askedAddress(request);
  if (address === null || !lender.lends) return { reply: { ok: 'self' } };
  const refusal = judge(
    address,
    lender.uid,
    lender.config.listen.map(parseListen).filter((one) => one !== null),
  );
  if (refusal !== null) return refused(lender, slot, refusal);
  const ordinal = address.kind === 'tcp' && address.port === 0 ? lender.countPortZero(slot) : null;
  const app = lender.config.name;
  const listener = lender.registry.acquire(app, address, ordinal, () => lender.makeListener(address, ordinal));
  if (!(listener instanceof Listener)) return refused(lender, slot, listener);
  try {
    const fd = await listener.lend(slot.index, slot.half, request.backlog);
    return { reply: { ok: true, listener: listener.key, ticketKeys: lender.ticketKeys }, fd };
  } catch (error) {
    if (!(error instanceof InitError)) throw error;
    if (listener.condition === 'closed') lender.registry.release(app, listener);
    return refused(lender, slot, {
      code: error.code as Refusal['code'],
      errno: error.errno,
      syscall: error.syscall === 'listen' ? 'listen' : 'bind',
      reason: error.message,
    });
  }
}

function refused(lender: Lender, slot: Slot, refusal: Refusal): { reply: LendReply } {
  lender.onRefused(slot, refusal.reason);
  return { reply: { ok: false, code: refusal.code, errno: refusal.errno, syscall: refusal.syscall } };
}
