/**
 * Which of the two stop signals the app handles: an app that only knows SIGINT, as PM2 sends it, is stopped by SIGINT. The worker has no
 * handler of its own, so every one that is there is the app's or a library's.
 */
import type { Report } from './report.ts';

export class SignalWatch {
  readonly #report: Report;
  #told = '';
  #isDue = false;

  constructor(report: Report) {
    this.#report = report;
  }

  /** Tells the state now and whenever it changes. */
  start(): void {
    this.tell();
    const onChange = (name: string | symbol) => {
      if ((name !== 'SIGTERM' && name !== 'SIGINT') || this.#isDue) return;
      this.#isDue = true;
      // 'newListener' comes before the listener is there; several changes in one turn are one.
      process.nextTick(() => {
        this.#isDue = false;
        this.#tellIfChanged();
      });
    };
    process.on('newListener', onChange);
    process.on('removeListener', onChange);
  }

  tell(): void {
    this.#told = '';
    this.#tellIfChanged();
  }

  #tellIfChanged(): void {
    const state = { sigterm: process.listenerCount('SIGTERM') > 0, sigint: process.listenerCount('SIGINT') > 0 };
    const text = JSON.stringify(state);
    if (text === this.#told) return;
    this.#told = text;
    this.#report.tell({ t: 'signals', ...state });
  }
}
