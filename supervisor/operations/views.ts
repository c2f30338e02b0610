/** From the supervisor's objects to the views others script against (protocol/operations.ts). */
import type { App } from '../apps/app.ts';
import type { Outcome } from '../apps/app-deps.ts';
import type { AppView, ListView, StopView, WorkerView } from '../protocol/operations.ts';
import type { Slot } from '../slots/slot.ts';
import type { SupervisorCore } from '../supervisor.ts';

export function listView(core: SupervisorCore): ListView {
  return {
    apiVersion: 1,
    init: { pid: core.init.pid },
    supervisor: {
      pid: process.pid,
      version: core.env.version,
      startedAt: core.startedAt,
      safeMode: core.safeMode.isOn,
      stateProblem: core.stateProblem,
    },
    apps: [...core.apps.values()].map((app) => appView(core, app)),
  };
}

export function appView(core: SupervisorCore, app: App): AppView {
  const slots = [...app.generations.values()].flatMap((generation) => [...generation.slots.values()]);
  return {
    name: app.name,
    status: app.status,
    wanted: app.wanted,
    generation: app.live?.number ?? app.record.live,
    listen: core.registry
      .of(app.name)
      .filter((listener) => listener.condition !== 'closed')
      .map((listener) => listener.key),
    workers: slots.sort((a, b) => a.index - b.index || a.generation - b.generation).map((slot) => workerView(core, app, slot)),
  };
}

function workerView(core: SupervisorCore, app: App, slot: Slot): WorkerView {
  const pid = slot.hasProcess ? (slot.worker?.pid ?? 0) : 0;
  const sample = core.sampler.of(pid);
  return {
    slot: slot.index,
    pid,
    state: slot.state,
    generation: slot.generation,
    cpus: pid === 0 ? [] : cpusOf(core, app, slot, pid),
    restarts: slot.restarts,
    uptimeMs: pid === 0 ? 0 : Math.round(core.env.nowMs() - (slot.worker?.startedMs ?? 0)),
    cpuPercent: sample.cpuPercent,
    rssBytes: sample.rssBytes,
  };
}

function cpusOf(core: SupervisorCore, app: App, slot: Slot, pid: number): readonly number[] {
  try {
    return app.pins.cpusOf(slot.index) ?? core.env.native.affinity(pid);
  } catch {
    return []; // it ended between two lines
  }
}

/** Brings CPU and memory of every worker up to date. */
export function refreshSamples(core: SupervisorCore, apps: Iterable<App>): Promise<void> {
  const slots = [...apps].flatMap((app) => [...app.generations.values()].flatMap((generation) => [...generation.slots.values()]));
  return core.sampler.refresh(
    slots.flatMap((slot) => (slot.hasProcess && slot.worker !== null && slot.worker.pid > 0 ? [slot.worker.pid] : [])),
  );
}

export function stopView(core: SupervisorCore, app: App, outcome: Outcome): StopView {
  return { apiVersion: 1, app: appView(core, app), drain: outcome.drain, killed: outcome.killed };
}
