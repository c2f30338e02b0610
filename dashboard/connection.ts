/**
 * One connection to the control socket: requests out, answers, progress and items back (the frames of protocol/rpc.ts).
 *
 * The typed client and the CLI's fast path both stand on it, so it needs nothing but node:net, and no schema code. A connection
 * that ends rejects every request that waits and ends every subscription: nothing hangs on a dead supervisor.
 */
import { readFileSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { findLeft } from '../supervisor/protocol/left-workers.ts';
import { CovetError, isErrorCode } from '../supervisor/protocol/errors.ts';
import { pathsOf, SOCKET_PATH_BYTES_MAX, type Paths } from '../supervisor/protocol/paths.ts';
import {
  LineSplitter,
  RPC_LINE_BYTES_MAX,
  type RpcFailure,
  type RpcNotification,
  type RpcOther,
  type RpcResponse,
} from '../supervisor/protocol/rpc.ts';
import { VERSION } from '../supervisor/protocol/version.ts';

/** covet-init's longest pause between two supervisors (5 s), and the time that one takes to start on a busy machine. */
const CONNECT_DEADLINE_MS = 8_000;
/** A supervisor that died is replaced within 0.1 to 0.3 s. */
const RETRY_MS = 20;

export interface CallOptions {
  /** What a long operation says before it answers. */
  readonly onProgress?: ((text: string) => void) | undefined;
  /** Gives up with COVET_ERR_DEADLINE; the operation goes on in the supervisor. 0 or absent: waits. */
  readonly deadlineMs?: number | undefined;
  /** Gives up with the signal's reason; the operation goes on in the supervisor. */
  readonly signal?: AbortSignal | undefined;
}

/** Told with every answer of a supervisor that is of another version. */
export type OnOther = (other: RpcOther) => void;

/** Where a subscription's items go. */
export interface ItemSink {
  /** Once, before the first item. */
  opened(subscription: number): void;
  item(item: unknown): void;
  /** So many were left out before what comes next, in all. */
  dropped(count: number): void;
  /** `error` when the request was refused or the connection ended early. */
  end(dropped: number, error?: Error): void;
}

interface Waiting {
  /** Waits on after its answer, until the items end. */
  readonly isSubscription?: boolean;
  readonly onResult: (result: unknown) => void;
  readonly onError: (error: Error) => void;
  readonly onProgress?: ((text: string) => void) | undefined;
}

export class Connection {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #sinks = new Map<number, { readonly id: number; readonly sink: ItemSink }>();
  readonly #ended: Promise<void>;
  readonly #onOther: OnOther;
  #lastId = 0;
  #lost: Error | null = null;

  private constructor(socket: Socket, onOther: OnOther) {
    this.#socket = socket;
    this.#onOther = onOther;
    const lines = new LineSplitter(RPC_LINE_BYTES_MAX);
    socket.on('data', (chunk) => {
      try {
        for (const line of lines.push(chunk)) this.#take(JSON.parse(line) as RpcResponse | RpcNotification);
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
    socket.on('error', (error) => this.#end(error));
    this.#ended = new Promise((resolve) => {
      socket.on('close', () => {
        this.#end();
        resolve();
      });
    });
  }

  /** Connects to the supervisor of `paths`. Throws COVET_ERR_SUPERVISOR_ABSENT, _DOWN, _FOREIGN, COVET_ERR_HOME_PATH or _DEADLINE. */
  static async open(paths: Paths, deadlineMs: number = CONNECT_DEADLINE_MS, onOther: OnOther = () => {}): Promise<Connection> {
    const bytes = Buffer.byteLength(paths.control);
    if (bytes > SOCKET_PATH_BYTES_MAX) throw new CovetError('COVET_ERR_HOME_PATH', { bytes, path: paths.control });
    const until = performance.now() + deadlineMs;
    for (;;) {
      try {
        return await Connection.#openOnce(paths, deadlineMs, onOther);
      } catch (error) {
        const isAbsent = error instanceof CovetError && error.code === 'COVET_ERR_SUPERVISOR_ABSENT';
        const init = isAbsent ? initOf(paths) : null;
        if (init === null) throw isAbsent ? absence(paths, error) : error;
        // Between two supervisors covet-init is there, and the next one in a moment.
        if (performance.now() > until) throw downError(paths, init, '`covet-pm kill` ends both.', error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  static #openOnce(paths: Paths, deadlineMs: number, onOther: OnOther): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect(paths.control);
      const late = () => socket.destroy(new CovetError('COVET_ERR_DEADLINE', { what: 'Connecting to the supervisor', ms: deadlineMs }));
      socket.setTimeout(deadlineMs, late);
      const refused = (error: Error) => reject(connectError(error, paths));
      socket.once('error', refused);
      socket.once('connect', () => {
        socket.setTimeout(0);
        socket.off('error', refused);
        resolve(new Connection(socket, onOther));
      });
    });
  }

  /** Throws what the supervisor refused, COVET_ERR_CONTROL_LOST when the connection ends first, and as the options say. */
  async request(method: string, params: unknown, { onProgress, deadlineMs: ms = 0, signal }: CallOptions = {}): Promise<unknown> {
    signal?.throwIfAborted();
    let giveUp: (error: Error) => void = () => undefined;
    const aborted = () => giveUp(signal!.reason as Error);
    const timer = ms > 0 ? setTimeout(() => giveUp(new CovetError('COVET_ERR_DEADLINE', { what: `\`${method}\``, ms })), ms) : undefined;
    signal?.addEventListener('abort', aborted);
    try {
      return await new Promise((resolve, reject) => {
        giveUp = reject;
        this.#send(method, params, { onResult: resolve, onError: reject, onProgress });
      });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', aborted);
    }
  }

  /**
   * Items go to `sink` from the very packet that carries the answer on: none is missed. A fault that the supervisor finds only after
   * it has answered comes as an error with the request's id, and ends the subscription too.
   */
  subscribe(method: string, params: unknown, sink: ItemSink): void {
    const id = this.#send(method, params, {
      isSubscription: true,
      onResult: (result) => {
        const { subscription } = result as { subscription: number };
        this.#sinks.set(subscription, { id, sink });
        sink.opened(subscription);
      },
      onError: (error) => sink.end(0, error),
    });
  }

  unsubscribe(subscription: number): void {
    if (this.#forget(subscription) === undefined || this.#lost !== null) return;
    this.#socket.write(`${JSON.stringify({ jsonrpc: '2.0', method: 'unsubscribe', params: { subscription } })}\n`);
  }

  /** Resolves when the connection is gone, whoever ended it. */
  ended(): Promise<void> {
    return this.#ended;
  }

  close(): void {
    this.#end(new CovetError('COVET_ERR_CONTROL_LOST', { detail: ': it was closed here' }));
    this.#socket.destroy();
  }

  #send(method: string, params: unknown, waiting: Waiting): number {
    const id = ++this.#lastId;
    if (this.#lost === null) {
      this.#waiting.set(id, waiting);
      this.#socket.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params, client: VERSION })}\n`);
    } else {
      waiting.onError(this.#lost);
    }
    return id;
  }

  #take(message: RpcResponse | RpcNotification): void {
    if ('method' in message) return this.#notified(message);
    if (message.id === null) {
      /* The supervisor could not tell which request it was: then it is the end of them all. */
      if ('error' in message) this.#socket.destroy(failureError(message.error));
      return;
    }
    if (message.other !== undefined) this.#onOther(message.other);
    const waiting = this.#waiting.get(message.id);
    if (waiting?.isSubscription !== true || 'error' in message) this.#waiting.delete(message.id);
    if ('result' in message) waiting?.onResult(message.result);
    else waiting?.onError(failureError(message.error));
  }

  #notified(message: RpcNotification): void {
    if (message.method === 'progress') return this.#waiting.get(message.params.id)?.onProgress?.(message.params.text);
    if (message.method === 'dropped') return this.#sinks.get(message.params.subscription)?.sink.dropped(message.params.dropped);
    if (message.method !== 'item') return; // of a later release
    const { params } = message;
    if ('end' in params) this.#forget(params.subscription)?.end(params.dropped);
    else this.#sinks.get(params.subscription)?.sink.item(params.item);
  }

  #forget(subscription: number): ItemSink | undefined {
    const found = this.#sinks.get(subscription);
    if (found === undefined) return undefined;
    this.#sinks.delete(subscription);
    this.#waiting.delete(found.id);
    return found.sink;
  }

  #end(cause?: Error): void {
    this.#lost ??=
      cause instanceof CovetError
        ? cause
        : new CovetError('COVET_ERR_CONTROL_LOST', { detail: cause ? `: ${cause.message}` : '' }, { cause });
    for (const { onError } of this.#waiting.values()) onError(this.#lost);
    this.#waiting.clear();
    this.#sinks.clear();
  }
}

/** The paths of a caller: `home` over COVET_HOME over the rest of the environment. */
export function callerPaths(home?: string): Paths {
  return pathsOf(home === undefined ? process.env : { ...process.env, COVET_HOME: home }, process.getuid!());
}

/** What the supervisor refused, as it said it; the frame's error is the `cause`. */
function failureError(failure: RpcFailure): CovetError {
  const { data } = failure;
  if (data !== undefined && isErrorCode(data.code)) return new CovetError(data.code, data.details, { cause: failure });
  return new CovetError('COVET_ERR_INTERNAL', { reason: failure.message }, { cause: failure });
}

function connectError(error: Error, { home, control }: Paths): Error {
  if (error instanceof CovetError) return error;
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ECONNREFUSED':
      return new CovetError('COVET_ERR_SUPERVISOR_ABSENT', { home, advice: '`covet-pm start app.js` starts one.' }, { cause: error });
    case 'EACCES':
    case 'EPERM':
      return new CovetError('COVET_ERR_SUPERVISOR_FOREIGN', { home, owner: ownerOf(control), uid: process.getuid!() }, { cause: error });
    default:
      return new CovetError('COVET_ERR_CONTROL_LOST', { detail: `: ${error.message}` }, { cause: error });
  }
}

/** With the workers that serve on where covet-init was killed with its supervisor, or why it cannot be told. */
function absence(paths: Paths, cause: CovetError): CovetError {
  const advice = adviceOnLeft(paths);
  return advice === null ? cause : new CovetError('COVET_ERR_SUPERVISOR_ABSENT', { home: paths.home, advice }, { cause });
}

/** null where there are none. */
export function adviceOnLeft(paths: Paths): string | null {
  try {
    const left = findLeft(paths)?.workers.length ?? 0;
    if (left === 0) return null;
    return `${left} of its workers still ${left === 1 ? 'serves' : 'serve'}: \`covet-pm resurrect\` takes them back.`;
  } catch (error) {
    return (error as CovetError).message;
  }
}

/** covet-init lives, and no supervisor of it can be reached. */
export function downError({ supervisorLog: log }: Paths, pid: number, advice: string, cause?: unknown): CovetError {
  return new CovetError('COVET_ERR_SUPERVISOR_DOWN', { pid, log, advice }, { cause });
}

/** The covet-init that holds the home's lock, by what it wrote there; null when it is gone. */
function initOf({ lock }: Paths): number | null {
  try {
    const pid = Number(readFileSync(lock, 'utf8'));
    return readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('covet-init') ? pid : null;
  } catch {
    return null; // no lock file, or its holder is gone
  }
}

/** Who owns `path`, or the nearest folder above it that may be looked at. */
function ownerOf(path: string): number {
  for (let at = path; at !== '/'; at = dirname(at)) {
    try {
      return statSync(at).uid;
    } catch {
      /* Behind a folder that is not ours: the folder itself tells. */
    }
  }
  return 0;
}
