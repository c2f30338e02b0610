/**
 * After several deaths of the supervisor within a minute the next one does only what is safe: it takes over what runs, shows it, and stops
 * it when asked to, but starts nothing, so that whatever it died of is not done once more. `resurrect` leaves it. An app on which an operation
 * was under way at a death is set aside: it is left as it is until somebody names it.
 */
import type { App } from '../apps/app.ts';
import type { SupervisorCore } from '../supervisor.ts';
import type { OperationName } from '../protocol/operations.ts';
import { readStepMemo, STEP_PREFIX, type StepMemo } from '../state/memos.ts';

/** Within the minute that covet-init counts. */
const DEATHS_MAX = 3;
/** A supervisor that has lived for so long did not die of what was under way before it. */
const PROVEN_MS = 60_000;

export class SafeMode {
  readonly #core: SupervisorCore;
  #isOn = false;
  /** App → what was under way. */
  readonly #setAside = new Map<string, string>();
  /** App → the operations that are under way on it, the first of them first. */
  readonly #underWay = new Map<string, readonly OperationName[]>();

  constructor(core: SupervisorCore) {
    this.#core = core;
  }

  /** After covet-init was greeted. */
  begin(): void {
    const { env, events, init, notes } = this.#core;
    const steps = notes.keys().filter((key) => key.startsWith(STEP_PREFIX));
    if (steps.length > 0) env.after(PROVEN_MS, () => steps.forEach((key) => this.#note(key.slice(STEP_PREFIX.length))));
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
    this.forget(app.name);
    app.resume();
  }

  /** As `name`, for an app that is to be stopped: nothing of it goes on. */
  forget(app: string): void {
    this.#setAside.delete(app);
  }

  /** Carries an operation out; if this supervisor dies of it, the next one knows on which app it was. */
  async step<T>(verb: OperationName, app: string, run: () => Promise<T>): Promise<T> {
    this.#underWay.set(app, [...(this.#underWay.get(app) ?? []), verb]);
    this.#note(app);
    try {
      return await run();
    } finally {
      const verbs = this.#underWay.get(app)!;
      this.#underWay.set(app, verbs.toSpliced(verbs.indexOf(verb), 1));
      this.#note(app);
    }
  }

  /** One note an app: of two operations the first, which the second as a rule only disturbs. */
  #note(app: string): void {
    const [verb] = this.#underWay.get(app) ?? [];
    if (verb !== undefined) return this.#core.notes.keep(`${STEP_PREFIX}${app}`, { app, verb } satisfies StepMemo);
    this.#underWay.delete(app);
    this.#core.notes.drop(`${STEP_PREFIX}${app}`);
  }
}
