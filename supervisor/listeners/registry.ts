/**
 * Who holds which address. A second app on an address is refused, naming the first; one app's listen(0) is resolved once per n-th call;
 * and a worker's request is judged as the worker's user would be by the kernel, for the sockets are made by covet-init, which may be root.
 */
import { readFileSync } from 'node:fs';
import { LISTENERS_MAX } from '../protocol/units.ts';
import { addressKey, overlaps, type Address } from '../protocol/address.ts';
import type { Listener } from './listener.ts';

export interface Refusal {
  /** As bind(2) and listen(2) have it. */
  readonly code: string;
  readonly errno: number;
  readonly syscall: 'bind' | 'listen';
  readonly reason: string;
}

export class ListenerRegistry {
  readonly #byApp = new Map<string, Listener[]>();

  of(app: string): readonly Listener[] {
    return this.#byApp.get(app) ?? [];
  }

  all(): readonly Listener[] {
    return [...this.#byApp.values()].flat();
  }

  find(app: string, key: string): Listener | undefined {
    return this.of(app).find((listener) => listener.key === key);
  }

  /** The app's listener for an address, made by `make` when it is its first; or why it may not have it. */
  acquire(app: string, address: Address, ordinal: number | null, make: () => Listener): Listener | Refusal {
    const own = this.of(app);
    const known = own.find((listener) =>
      ordinal === null
        ? listener.key === addressKey(address) || isFallbackOf(listener, address)
        : listener.ordinal === ordinal && sameHost(listener, address),
    );
    if (known !== undefined) return known;
    for (const [other, listeners] of this.#byApp) {
      const holder =
        other === app ? undefined : listeners.find((listener) => listener.condition !== 'closed' && overlaps(listener.address, address));
      if (holder !== undefined) {
        return {
          code: 'EADDRINUSE',
          errno: -98,
          syscall: 'listen',
          reason: `${addressKey(address)} is held by \`${other}\` as ${holder.key}`,
        };
      }
    }
    // What nobody listens on any more, and is closed, is only remembered; a port of the past must not keep out one of today.
    if (own.length >= LISTENERS_MAX)
      this.#byApp.set(
        app,
        own.filter((listener) => listener.condition === 'open'),
      );
    if (this.of(app).length >= LISTENERS_MAX)
      return { code: 'EMFILE', errno: -24, syscall: 'listen', reason: `Expected at most ${LISTENERS_MAX} listeners of one app` };
    const listener = make();
    this.#byApp.set(app, [...this.of(app), listener]);
    return listener;
  }

  /** One that is open already. */
  adopt(app: string, listener: Listener): void {
    this.#byApp.set(app, [...this.of(app), listener]);
  }

  /** Forgets a listener that could not be opened. */
  release(app: string, listener: Listener): void {
    this.#byApp.set(
      app,
      this.of(app).filter((other) => other !== listener),
    );
  }

  /** Ends an app's listeners with the app: its clients fail over. Never rejects: what covet-init could not close is told to the owner. */
  async end(app: string, condition: 'refusing' | 'closed'): Promise<void> {
    for (const listener of this.of(app))
      await (condition === 'refusing' ? listener.refuse('the app failed') : listener.close('the app is stopped'));
  }

  /** Before `end`, while the workers accept: what is in their queues by now is theirs, for so long, and no more comes. Never rejects. */
  async deafen(app: string, withinMs: number): Promise<void> {
    await Promise.all(this.of(app).map(async (listener) => listener.deafen(withinMs)));
  }

  forget(app: string): void {
    this.#byApp.delete(app);
  }
}

/** Whether a worker of that user may have the address: what bind(2) would say to it. Paths are judged by covet-init, under that user. */
export function judge(address: Address, uid: number, listed: readonly Address[]): Refusal | null {
  if (address.kind === 'unix' || uid === 0 || address.port === 0 || address.port >= unprivilegedPortStart()) return null;
  if (listed.some((one) => one.kind === address.kind && one.port === address.port)) return null;
  return {
    code: 'EACCES',
    errno: -13,
    syscall: 'bind',
    reason: `port ${address.port} is privileged and uid ${uid} is not; list it in the config's \`listen\` to allow it`,
  };
}

function unprivilegedPortStart(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'));
  } catch {
    return 1_024; // the kernel's default; the file is absent in some sandboxes
  }
}

/** listen(3000) on a host without IPv6 became 0.0.0.0:3000. */
function isFallbackOf(listener: Listener, address: Address): boolean {
  return (
    listener.address.kind === 'tcp' &&
    address.kind === 'tcp' &&
    address.dual &&
    listener.address.host === '0.0.0.0' &&
    listener.address.port === address.port
  );
}

function sameHost(listener: Listener, address: Address): boolean {
  const known = listener.address;
  if (known.kind === 'unix' || address.kind === 'unix' || known.kind !== address.kind) return false;
  return known.host === address.host || isFallbackOf(listener, { ...address, port: known.port });
}
