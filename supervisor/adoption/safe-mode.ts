/**
 * After several deaths of the supervisor within a minute the next one does only what is safe: it takes over what runs, shows it, and stops
 * it when asked to, but starts nothing, so that whatever it died of is not done once more. `resurrect` leaves it. An app on which an operation
 * was under way at a death is set aside: it is left as it is until somebody names it.
 */
import type { App } from '../apps/app.ts';
import type { SupervisorCore } from '../supervisor.ts';
import { readStepMemo, STEP_PREFIX } from '../state/memos.ts';

/** Within the minute that covet-init counts. */
const DEATHS_MAX = 3;
/** A supervisor that has lived for so long did not die of what was under way before it. */
const PROVEN_MS = 60_000;

export class SafeMode {
  readonly #core: SupervisorCore;
  #isOn = false;
  /** App → what was under way. */
  readonly #setAside = new Map<string, string>();

  constructor(core: SupervisorCore) {
    this.#core = core;
  }

  /** After covet-init was greeted. */
  begin(): void {
    const { env, events, init, notes } = this.#core;
    const steps = notes.keys().filter((key) => key.startsWith(STEP_PREFIX));
    if (steps.length > 0) env.after(PROVEN_MS, () => steps.forEach((key) => notes.drop(key)));
    this.#isOn = init.deaths >= DEATHS_MAX && !env.faults.has('no-safe-mode');
    if (!this.#isOn) return;
    for (const key of steps) {
      const step = readStepMemo(notes.read(key));
      if (step !== null) this.#setAside.set(step.app, step.verb);
    }
    const setAside = [...this.#setAside].map(([app, verb]) => `${app} (${verb})`);
    events.announce({ type: 'supervisor.safe', deaths: init.deaths, setAside });
    this.#core.logs.say('supervisor', `safe mode after ${init.deaths} deaths within a minute; set aside: ${setAside.join(', ') || 'none'}`);
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** What was under way on an app at a death, until somebody names it. */
  setAside(app: string): string | null {
    return this.#setAside.get(app) ?? null;
  }

  /** Every app goes on but those set aside. */
  leave(): void {
    this.#isOn = false;
    for (const app of this.#core.apps.values()) if (!this.#setAside.has(app.name)) app.resume();
  }

  /** An operation names the app: it is no longer set aside. */
  name(app: App): void {
    this.#setAside.delete(app.name);
    app.resume();
  }
}
