/**
 * Takes over what the supervisor before this one left: one recovery path for a crash and an upgrade. What is wanted was read from disk;
 * covet-init says what runs and gives its descriptors; adoption-policy.ts says what becomes of it.
 */
import { constants } from 'node:os';
import type { App } from '../apps/app.ts';
import { makeGeneration } from '../apps/verbs.ts';
import { readGroupKey, readWorkerKey, RECOVERED_KEY } from '../init/keys.ts';
import type { Held, HeldWorker } from '../init/held.ts';
import type { Slot } from '../slots/slot.ts';
import { appMemoKey, readAppMemo, readSlotMemo, slotMemoKey, slotsOf, type AppMemo, type SlotMemo } from '../state/memos.ts';
import { decideAdoption, type Adoption } from './adoption-policy.ts';
import { signalIfAlive } from './leftovers.ts';

/** What was found of one slot. */
interface FoundSlot {
  readonly generation: number;
  readonly slot: number;
  readonly memo: SlotMemo | null;
  readonly worker: HeldWorker | null;
}

export interface Adopted {
  /** Workers that go on. */
  readonly workers: number;
  /** It ran, and nothing of it is left to go on with: it is to be started anew. */
  readonly mustStart: boolean;
}

/** What is not taken stays in `held`. Rejects when it cannot be: then nothing of it may be ended. */
export async function adoptApp(app: App, held: Held): Promise<Adopted> {
  const slots = findSlots(app, held);
  const groups = [...held.groups.keys()].filter((key) => readGroupKey(key)?.app === app.name);
  const memo = readAppMemo(app.deps.notes.read(appMemoKey(app.name)));
  // Where the file had to go back to the version before: what serves was flipped to, and does not go back.
  if (memo !== null && memo.live > app.record.live)
    await app.save({ live: memo.live }).catch((error: Error) => app.deps.logs.say(app.name, error.message));
  const adoption = decideAdoption({
    isWanted: app.record.isWanted,
    isDeleting: app.record.isDeleting,
    live: app.record.live,
    generations: [...new Set(slots.map(({ generation }) => generation))],
    drainable: drainableOf(app, memo, slots),
    hasSockets: groups.length > 0,
    isUp: memo?.isUp ?? false,
    failed: memo?.failed ?? null,
  });
  const records = app.record.generations;
  // What cannot be told on disk cannot be gone on with: it is ended, and started anew.
  const isKnown = adoption?.keep.every((number) => records.some((record) => record.number === number));
  if (adoption === null || isKnown !== true) {
    app.memory.forget();
    // One that was not started since the last `kill` sleeps on.
    return { workers: 0, mustStart: memo !== null && app.record.isWanted };
  }
  if (memo !== null) [app.ticketKeys, app.lastExit] = [memo.ticketKeys, memo.lastExit];
  app.host.group.adopt(memo?.oomKills ?? null);
  await app.host.prepareFolders();
  const logMark = await app.deps.logs.mark(app.name, 'err');
  app.beginAdoption(adoption.plan);
  for (const number of adoption.keep)
    app.generations.set(
      number,
      makeGeneration(
        app,
        records.find((record) => record.number === number)!,
        logMark,
      ),
    );
  const kept = slots.filter(({ generation }) => adoption.keep.includes(generation));
  for (const key of adoption.keep.length === 0 ? [] : groups) app.host.lending.adopt(held.takeGroup(key)!, listeningOf(kept));
  const leaving = kept.flatMap((found) => adoptSlot(app, held, found));
  for (const address of memo?.ownAddresses ?? []) app.host.ownAddresses.add(address);
  app.degraded.adopt(memo?.degradedUntilMs ?? null);
  endAtOnce(app, adoption, slots);
  app.endAdoption(leaving);
  const mustStart = adoption.plan.phase === 'stopped' && adoption.plan.failed === null;
  return { workers: kept.filter(({ worker }) => worker !== null).length, mustStart };
}

function findSlots(app: App, held: Held): FoundSlot[] {
  const found = new Map<string, FoundSlot & { readonly count: number }>();
  for (const { generation, slot } of slotsOf(app.name, app.deps.notes.keys())) {
    const key = slotMemoKey(app.name, generation, slot);
    found.set(key, { generation, slot, memo: readSlotMemo(app.deps.notes.read(key)), worker: null, count: 0 });
  }
  for (const worker of held.workers.values()) {
    const parts = readWorkerKey(worker.key);
    if (parts?.app !== app.name) continue;
    app.host.countFrom(parts.count);
    const key = slotMemoKey(app.name, parts.generation, parts.slot);
    const known = found.get(key);
    // An older one in the same slot has ended; its record is about to be let go.
    if ((known?.count ?? 0) > parts.count) continue;
    found.set(key, { generation: parts.generation, slot: parts.slot, memo: known?.memo ?? null, worker, count: parts.count });
  }
  return [...found.values()];
}

/**
 * Candidates have no connection as long as the kernel's program chooses, and their half must be free for the next one. None may stay where one worker must
 * be gone before the next one listens, and none that is not on disk.
 */
function drainableOf(app: App, memo: AppMemo | null, slots: readonly FoundSlot[]): number[] {
  const mayServe = app.deps.notes.read(RECOVERED_KEY) !== null;
  if (!mayServe || app.config.onlyOne || memo === null || memo.ownAddresses.length > 0) return [];
  const listens = ({ worker, memo: of }: FoundSlot): boolean => worker !== null && of?.worker === worker.key && of.listening.length > 0;
  const numbers = new Set(slots.filter(listens).map(({ generation }) => generation));
  return app.record.generations.flatMap(({ number }) => (numbers.has(number) ? [number] : []));
}

/** Listener key → generation → slots. */
function listeningOf(slots: readonly FoundSlot[]): Map<string, Map<number, Set<number>>> {
  const byKey = new Map<string, Map<number, Set<number>>>();
  for (const { generation, slot, memo, worker } of slots) {
    if (worker === null || memo?.worker !== worker.key) continue;
    for (const key of memo.listening) {
      const byGeneration = byKey.get(key) ?? new Map<number, Set<number>>();
      byKey.set(key, byGeneration.set(generation, (byGeneration.get(generation) ?? new Set()).add(slot)));
    }
  }
  return byKey;
}

/** Answers with the slot when its worker was on its way out. */
function adoptSlot(app: App, held: Held, { generation: number, slot: index, memo, worker }: FoundSlot): Slot[] {
  const generation = app.generations.get(number)!;
  const slot = generation.seat(index);
  const taken = worker === null ? undefined : held.takeWorker(worker.key);
  slot.adopt(memo, taken === undefined ? null : (callbacks) => app.host.adoptWorker(slot, taken, memo, callbacks));
  return memo !== null && worker?.key === memo.worker && (memo.state === 'draining' || memo.state === 'stopping') ? [slot] : [];
}

/** Their ends are told by covet-init and forgotten. */
function endAtOnce(app: App, { keep, kill }: Adoption, slots: readonly FoundSlot[]): void {
  for (const { generation, slot, worker } of slots) {
    if (!kill.includes(generation)) continue;
    app.deps.notes.drop(slotMemoKey(app.name, generation, slot));
    if (worker?.pidfd != null) signalIfAlive(app.deps.env.native, worker.pidfd, constants.signals.SIGKILL);
  }
  const reason = 'the supervisor ended before the new workers served';
  for (const number of [...keep, ...kill])
    if (number > app.record.live) app.deps.events.announce({ type: 'reload.failed', app: app.name, generation: number, reason });
}
