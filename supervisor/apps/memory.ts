/** What an app and its slots note in covet-init for the supervisor after this one (state/memos.ts). */
import type { Slot } from '../slots/slot.ts';
import { appMemoKey, slotMemoKey, slotsOf, type AppMemo, type SlotMemo } from '../state/memos.ts';
import type { App } from './app.ts';

export class Memory {
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
  }

  /** Called whenever the slot changed; a slot without a worker, that waits for none, is forgotten. */
  keepSlot(slot: Slot): void {
    const { name, deps } = this.#app;
    const key = slotMemoKey(name, slot.generation, slot.index);
    if (slot.worker === null || !(slot.hasProcess || slot.state === 'backoff')) return deps.notes.drop(key);
    deps.notes.keep(key, {
      worker: slot.worker.key,
      state: slot.state,
      restarts: slot.restarts,
      startedMs: slot.worker.startedMs,
      readyAtMs: slot.readyAtMs,
      history: { ...slot.history, crashesMs: [...slot.history.crashesMs] },
      saidReady: slot.saidReady,
      listening: this.#app.host.listenersOf(slot).map((listener) => listener.key),
    } satisfies SlotMemo);
  }

  /** Called whenever the app's plan changed, and at each end that nobody asked for. */
  keepApp(): void {
    const { plan, name, deps, host, degraded, ticketKeys, lastExit } = this.#app;
    if (plan.phase === 'stopped' && plan.failed === null) return this.forget();
    deps.notes.keep(appMemoKey(name), {
      isUp: plan.phase !== 'starting' && plan.phase !== 'stopped',
      failed: plan.phase === 'stopped' ? plan.failed : null,
      ticketKeys,
      ownAddresses: [...host.ownAddresses],
      degradedUntilMs: degraded.untilMs,
      live: 'live' in plan ? plan.live : 0,
      oomKills: host.group.oomKills,
      lastExit,
    } satisfies AppMemo);
  }

  /** Nothing of it runs. */
  forget(): void {
    const { notes } = this.#app.deps;
    for (const { generation, slot } of slotsOf(this.#app.name, notes.keys())) notes.drop(slotMemoKey(this.#app.name, generation, slot));
    notes.drop(appMemoKey(this.#app.name));
  }
}
