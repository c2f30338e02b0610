/**
 * process.send(), connected, disconnect(), channel, 'message' and 'disconnect' over the supervisor's channel, as node:child_process
 * documents them for a forked child. Only where Node's own IPC is absent. As in Node, a 'message' or 'disconnect' listener keeps the
 * process alive, and messages that come before the first listener wait for it.
 *
 * When covet-init dies no 'disconnect' is emitted: the app serves on, where under PM2 it would end.
 */
import { inspect } from 'node:util';
import type { Channel } from './channel.ts';

/** Messages that wait for a first listener. */
const WAITING_MAX = 1_000;

type Callback = (error: Error | null) => void;

export class Ipc {
  readonly #channel: Channel;
  readonly #onReady: () => void;
  #waiting: unknown[] = [];
  #listeners = 0;
  #explicitlyHeld: boolean | null = null;
  #isHeld = false;
  #isConnected = true;
  /** cluster.worker hears of both as well. */
  onDelivered: (data: unknown) => void = () => {};
  onDisconnected: () => void = () => {};

  /** `onReady` is called for process.send('ready'). */
  constructor(channel: Channel, onReady: () => void) {
    this.#channel = channel;
    this.#onReady = onReady;
  }

  install(): void {
    if (process.send !== undefined) return;
    define('send', (message: unknown, handle?: unknown, options?: unknown, callback?: unknown) =>
      this.#send(message, handle, options, callback),
    );
    define('disconnect', () => this.disconnect());
    define('channel', { ref: () => this.#holdExplicitly(true), unref: () => this.#holdExplicitly(false), hasRef: () => this.#isHeld });
    Object.defineProperty(process, 'connected', { configurable: true, enumerable: true, get: () => this.isConnected });
    process.on('newListener', (name) => this.#countListener(name, 1));
    process.on('removeListener', (name) => this.#countListener(name, -1));
  }

  get isConnected(): boolean {
    return this.#isConnected && this.#channel.isOpen;
  }

  /** A message from the supervisor. */
  deliver(data: unknown): void {
    if (!this.#isConnected) return;
    process.nextTick(() => this.onDelivered(data));
    if (this.#listeners === 0 && process.listenerCount('message') === 0) {
      if (this.#waiting.push(data) > WAITING_MAX) this.#waiting.shift();
    } else process.nextTick(() => process.emit('message', data, undefined));
  }

  disconnect(): void {
    if (!this.#isConnected) {
      process.emit('error' as never, failure('ERR_IPC_DISCONNECTED', 'IPC channel is already disconnected') as never);
      return;
    }
    this.#isConnected = false;
    define('channel', null);
    process.nextTick(() => {
      process.emit('disconnect');
      this.onDisconnected();
      this.#hold(false);
    });
  }

  #send(message: unknown, handle: unknown, options: unknown, callback: unknown): boolean {
    const done = [handle, options, callback].find((one): one is Callback => typeof one === 'function');
    if (!this.isConnected) {
      const error = failure('ERR_IPC_CHANNEL_CLOSED', 'Channel closed');
      process.nextTick(() => (done === undefined ? process.emit('error' as never, error as never) : done(error)));
      return false;
    }
    if (message === undefined) throw failure('ERR_MISSING_ARGS', 'The "message" argument must be specified', TypeError);
    if (!['string', 'object', 'number', 'boolean'].includes(typeof message)) {
      const received = typeof message === 'function' ? `function ${message.name}` : `type ${typeof message} (${inspect(message)})`;
      const text = `The "message" argument must be one of type string, object, number, or boolean. Received ${received}`;
      throw failure('ERR_INVALID_ARG_TYPE', text, TypeError);
    }
    // A socket or server cannot cross: the supervisor is no place for an app's handles.
    if (handle !== undefined && handle !== null && typeof handle !== 'function')
      throw failure('ERR_INVALID_HANDLE_TYPE', 'This handle type cannot be sent', TypeError);
    if (message === 'ready') this.#onReady();
    return this.#channel.write(message === 'ready' ? { t: 'ready' } : { t: 'message', data: message }, (error) => done?.(error));
  }

  #countListener(name: string | symbol, change: 1 | -1): void {
    if (name !== 'message' && name !== 'disconnect') return;
    this.#listeners += change;
    if (this.#explicitlyHeld === null) this.#hold(this.#listeners > 0);
    if (name === 'message' && change === 1 && this.#waiting.length > 0) process.nextTick(() => this.#flush());
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const data of waiting) process.emit('message', data, undefined);
  }

  #holdExplicitly(isHeld: boolean): void {
    this.#explicitlyHeld = isHeld;
    this.#hold(isHeld);
  }

  #hold(isHeld: boolean): void {
    const wanted = isHeld && this.#isConnected;
    if (wanted === this.#isHeld) return;
    this.#isHeld = wanted;
    if (wanted) this.#channel.hold();
    else this.#channel.release();
  }
}

function define(name: 'send' | 'disconnect' | 'channel', value: unknown): void {
  Object.defineProperty(process, name, { configurable: true, enumerable: true, writable: true, value });
}

function failure(code: string, message: string, Kind: ErrorConstructor | TypeErrorConstructor = Error): Error {
  const error = new Kind(message);
  // Node's own errors show their code in the stack's first line.
  Object.defineProperty(error, 'code', { value: code, enumerable: true, writable: true, configurable: true });
  error.stack = error.stack?.replace(/^(\w+)/, `$1 [${code}]`) ?? '';
  return error;
}
