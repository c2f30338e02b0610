/** Who waits for an app's plan to say how a start, a reload or a stop went. */

type Kind = 'start' | 'reload' | 'stop';

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
}

/** The plan's `no`, in words; the verb that waited makes a coded error of it. */
export class PlanRefusal extends Error {}

export class Answers {
  readonly #waiting: Record<Kind, Waiter[]> = { start: [], reload: [], stop: [] };

  /** The next answer of that kind. Rejects with PlanRefusal. */
  next(kind: Kind): Promise<void> {
    const answered = new Promise<void>((resolve, reject) => this.#waiting[kind].push({ resolve, reject }));
    answered.catch(() => {}); // a verb that is refused at once never looks at it
    return answered;
  }

  give(kind: Kind, error: string | null): void {
    for (const waiter of this.#waiting[kind].splice(0)) {
      if (error === null) waiter.resolve();
      else waiter.reject(new PlanRefusal(error));
    }
  }
}
