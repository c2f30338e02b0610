/** Carries the plan's effects out (plan-machine.ts): what starts, flips, drains, ends, and who is told. */
import { isDeepStrictEqual } from 'node:util';
import type { Slot } from '../slots/slot.ts';
import type { App } from './app.ts';
import { flip } from './flip.ts';
import { coverageOf } from './generation.ts';
import type { PlanEffect } from './plan-machine.ts';
import { Replacement } from './replacement.ts';

export class Effects {
  readonly #app: App;
  /** A reload in replace mode, while it runs. */
  replacement: Replacement | null = null;
  #isSweeping = false;

  constructor(app: App) {
    this.#app = app;
  }

  act(effect: PlanEffect, slot?: Slot): void {
    switch (effect.type) {
      case 'startGeneration':
        return this.#startGeneration(effect.generation);
      case 'flip':
        return void flip(this.#app, effect.to);
      case 'drainGeneration':
        this.#app.generations.get(effect.generation)?.drain('replaced by a new generation');
        this.#app.dropEmptyGenerations();
        if (!this.#app.generations.has(effect.generation)) queueMicrotask(() => this.#app.dispatch({ type: 'retired' }));
        return;
      case 'killGeneration':
        return this.#killCandidate(effect.generation);
      case 'drainAll':
        return this.#drainAll();
      case 'resize':
        // A replacement fills the new generation slot by slot, and goes on to its last.
        for (const generation of this.#app.generations.values())
          if (this.#app.isCurrent(generation)) generation.resize(this.#app.wanted, this.replacement === null);
        return;
      case 'restartSlot':
        if (slot !== undefined && !this.#app.isPaused) this.#app.host.restart(slot, effect.reason);
        return;
      case 'closeListeners':
        return void this.#app.deps.registry.end(this.#app.name, 'closed');
      case 'answer':
        return this.#app.answers.give(effect.to, effect.error);
      case 'forget':
        return this.#app.forget();
    }
  }

  #startGeneration(number: number): void {
    const generation = this.#app.generations.get(number);
    if (generation === undefined) throw new Error(`Expected generation ${number} of ${this.#app.name} to be prepared`);
    this.#app.pins = this.#app.planPins();
    const { plan } = this.#app;
    if (plan.phase !== 'reloading') return generation.fill();
    const live = this.#app.generations.get(plan.live)!;
    if (this.#app.reloadMode === 'overlap') {
      generation.coverage = coverageOf(this.#app.deps.registry.of(this.#app.name), plan.live);
      generation.mayMove = !isDeepStrictEqual(live.env, generation.env);
      return generation.fill();
    }
    this.replacement = new Replacement(live, generation, this.#app.config.minHealthyMs, this.#app.deps.env, () => {
      this.replacement = null;
      this.#app.lookUp();
    });
    this.replacement.begin();
  }

  #killCandidate(number: number): void {
    const generation = this.#app.generations.get(number);
    this.replacement?.abandon();
    this.replacement = null;
    if (generation !== undefined) this.#app.host.left.drop(generation);
    generation?.kill('the reload failed');
    for (const listener of this.#app.deps.registry.of(this.#app.name)) listener.forgetGeneration(number);
    this.#app.dropEmptyGenerations();
    queueMicrotask(() => {
      this.#app.refill();
      this.#app.lookUp();
    });
  }

  #drainAll(): void {
    this.replacement?.abandon();
    this.replacement = null;
    this.#app.allEmptied = this.#app.deps.registry.deafen(this.#app.name, this.#app.config.drainTimeoutMs);
    for (const generation of [...this.#app.generations.values()]) generation.drain('stopped');
    this.#app.dropEmptyGenerations();
    if (this.#app.generations.size === 0) queueMicrotask(() => void this.allGone());
  }

  /** Called as often as one may be the last that accepted. */
  closeWhenDeaf(): void {
    const { plan, generations, deps, name, host } = this.#app;
    if (plan.phase !== 'stopping' && plan.phase !== 'settling') return;
    const leaving = [...generations.values()].filter(({ number }) => plan.phase === 'stopping' || number === plan.retired);
    const accepts = ({ state, isAccepting }: Slot): boolean => state === 'ready' || (state === 'draining' && isAccepting);
    if (leaving.some(({ slots }) => [...slots.values()].some(accepts))) return;
    if (plan.phase === 'stopping') void deps.registry.end(name, 'closed');
    else host.left.close();
  }

  /** Called as often as one may be the last. */
  async allGone(): Promise<void> {
    const { plan } = this.#app;
    if (plan.phase !== 'stopping' || this.#isSweeping) return;
    this.#isSweeping = true;
    await this.#app.host.group.sweep();
    await this.#app.deps.registry.end(this.#app.name, plan.then === 'failed' ? 'refusing' : 'closed');
    // A failed app keeps its listeners, refusing; another start makes them anew with what its config says then.
    if (plan.then !== 'failed') this.#app.deps.registry.forget(this.#app.name);
    this.#app.host.reset();
    this.#isSweeping = false;
    this.#app.dispatch({ type: 'allGone' });
  }
}
