/**
 * The account of one load client: every request is answered, or lost with its reason. Nothing is retried and nothing is forgotten:
 * `requests === answered + lost + refusedStreams` holds when the client has stopped, and `check` says so if it does not.
 */

/**
 * Why a request was not answered as it should have been. refused: no connection. reset: RST. empty: EOF before a byte of the
 * response. torn: EOF inside it. timeout: nothing by the deadline. status, body: another answer than the right one.
 * protocol: bytes that are no HTTP, no frame. cut: a WebSocket that ended without a close frame.
 */
export const LOSSES = ['refused', 'reset', 'empty', 'torn', 'timeout', 'status', 'body', 'protocol', 'cut'] as const;
export type Loss = (typeof LOSSES)[number];

export interface Tally {
  readonly client: string;
  readonly requests: number;
  readonly answered: number;
  readonly lost: number;
  readonly lostBy: Readonly<Record<Loss, number>>;
  /** HTTP/2 streams that the server says it never processed: retry-safe by RFC 9113 §8.7, and not lost. */
  readonly refusedStreams: number;
  /** Connections ever opened, and those the server closed while nothing was asked of them. */
  readonly opened: number;
  readonly closedIdle: number;
  /** WebSocket messages on their way when a clean close frame came: the protocol promises them nothing. */
  readonly unansweredAtClose: number;
  /** Clean ends of long streams (WebSocket 1000 and 1001, SSE). */
  readonly cleanEnds: number;
  readonly longestMs: number;
  /** Who answered: pid → how often, build → how often. */
  readonly pids: Readonly<Record<string, number>>;
  readonly builds: Readonly<Record<string, number>>;
  /** The first losses, in words. */
  readonly examples: readonly string[];
}

/** What every fixture app answers (test/fixtures/apps/answer.cjs). */
export interface Answer {
  readonly pid: number;
  readonly slot: string | null;
  readonly build: string;
  readonly n: number;
  readonly token: string;
  readonly bytes?: number;
  readonly sha1?: string;
}

const EXAMPLES_MAX = 20;

/** A request that was not answered. Thrown by the wires, counted by the clients. */
export class Lost extends Error {
  readonly loss: Loss;

  constructor(loss: Loss, detail: string) {
    super(`${loss}: ${detail}`);
    this.loss = loss;
  }
}

/** Says which loss a socket's or client's error is; `began` when some of the response had come. */
export function lossOf(error: unknown, began: boolean): Lost {
  if (error instanceof Lost) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const text = error instanceof Error ? `${code} ${error.message}` : String(error);
  if (code === 'ECONNREFUSED' || code === 'ENOENT' || code === 'EAGAIN') return new Lost('refused', text);
  if (/hang up|other side closed|UND_ERR_SOCKET|aborted|terminated|premature/i.test(text)) return new Lost(began ? 'torn' : 'empty', text);
  if (code === 'ECONNRESET' || code === 'EPIPE') return new Lost('reset', text);
  if (/TIMEOUT|ETIMEDOUT/i.test(text)) return new Lost('timeout', text);
  if (/HPE_|PARSE|ERR_SSL|ERR_HTTP2/.test(text)) return new Lost('protocol', text);
  return new Lost(began ? 'torn' : 'empty', text);
}

export class Counter {
  readonly #client: string;
  #requests = 0;
  #answered = 0;
  #lost = 0;
  #refusedStreams = 0;
  #opened = 0;
  #closedIdle = 0;
  #unansweredAtClose = 0;
  #cleanEnds = 0;
  #longestMs = 0;
  readonly #lostBy = Object.fromEntries(LOSSES.map((loss) => [loss, 0])) as Record<Loss, number>;
  readonly #pids: Record<string, number> = {};
  readonly #builds: Record<string, number> = {};
  readonly #examples: string[] = [];
  readonly #waiting: { answered: number; resolve: () => void }[] = [];

  constructor(client: string) {
    this.#client = client;
  }

  opened(): void {
    this.#opened++;
  }

  closedIdle(): void {
    this.#closedIdle++;
  }

  cleanEnd(): void {
    this.#cleanEnds++;
  }

  request(): void {
    this.#requests++;
  }

  /** Counts a right answer. Throws Lost when its body is not what was asked for. */
  answer(body: Answer, token: string, startedAtMs: number): void {
    if (body.token !== token) throw new Lost('body', `asked with token ${token}, answered ${JSON.stringify(body).slice(0, 200)}`);
    if (!Number.isInteger(body.pid)) throw new Lost('body', `no pid in ${JSON.stringify(body).slice(0, 200)}`);
    this.#pids[body.pid] = (this.#pids[body.pid] ?? 0) + 1;
    this.#builds[body.build] = (this.#builds[body.build] ?? 0) + 1;
    this.answered(startedAtMs);
  }

  answered(startedAtMs: number): void {
    this.#answered++;
    this.#longestMs = Math.max(this.#longestMs, performance.now() - startedAtMs);
    for (const wait of this.#waiting.filter((w) => w.answered <= this.#answered)) {
      this.#waiting.splice(this.#waiting.indexOf(wait), 1);
      wait.resolve();
    }
  }

  lose(error: Lost): void {
    this.#lost++;
    this.#lostBy[error.loss]++;
    if (this.#examples.length < EXAMPLES_MAX) this.#examples.push(`${new Date().toISOString()} ${error.message}`);
  }

  refuseStream(): void {
    this.#refusedStreams++;
  }

  unansweredAtClose(): void {
    this.#unansweredAtClose++;
  }

  /** Resolves when `more` further requests have been answered. */
  async waitFor(more: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting.push({ answered: this.#answered + more, resolve });
    });
  }

  tally(): Tally {
    return {
      client: this.#client,
      requests: this.#requests,
      answered: this.#answered,
      lost: this.#lost,
      lostBy: { ...this.#lostBy },
      refusedStreams: this.#refusedStreams,
      opened: this.#opened,
      closedIdle: this.#closedIdle,
      unansweredAtClose: this.#unansweredAtClose,
      cleanEnds: this.#cleanEnds,
      longestMs: Math.round(this.#longestMs),
      pids: { ...this.#pids },
      builds: { ...this.#builds },
      examples: [...this.#examples],
    };
  }
}

/** The account's own check: throws when a request is neither answered nor lost. For a tally taken after the client stopped. */
export function check(tally: Tally): Tally {
  const accounted = tally.answered + tally.lost + tally.refusedStreams + tally.unansweredAtClose;
  if (tally.requests !== accounted)
    throw new Error(`Expected ${tally.requests} requests to be accounted for, got ${accounted}: ${JSON.stringify(tally)}`);
  return tally;
}
