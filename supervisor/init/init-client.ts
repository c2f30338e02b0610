/**
 * The supervisor's side of covet-init's wire (protocol/init-wire.ts): requests joined to replies by id, and what covet-init says unasked
 * as events. Descriptors that arrive belong to whoever gets them here.
 */
import { EventEmitter } from 'node:events';
import { readlinkSync } from 'node:fs';
import type { Env, Timer } from '../env.ts';
import type { PacketSocket } from '../../native/index.ts';
import { Held } from './held.ts';
import { decodeInitPacket, encodeInitPacket, INIT_WIRE_VERSION, type InitPacket } from '../protocol/init-wire.ts';

/** covet-init answers in microseconds; a silence this long is a fault of ours or of the machine. */
const REPLY_TIMEOUT_MS = 20_000;

export interface InitReply {
  readonly fields: Readonly<Record<string, string>>;
  readonly fds: readonly number[];
}

/** A system call that failed in covet-init, shaped as Node's own errors. */
export class InitError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;

  constructor(fields: Readonly<Record<string, string>>) {
    super(`${fields['code'] ?? 'EIO'}: ${fields['syscall'] ?? 'covet-init'}`);
    this.code = fields['code'] ?? 'EIO';
    this.errno = -Math.abs(Number(fields['errno'] ?? 5));
    this.syscall = fields['syscall'] ?? 'covet-init';
  }
}

interface Waiting {
  readonly resolve: (reply: InitReply) => void;
  readonly reject: (error: Error) => void;
  readonly timer: Timer;
}

interface InitEvents {
  running: [{ key: string; pid: number; start: string; pidfd: number }];
  failed: [{ key: string; stage: string; errno: number }];
  exited: [{ key: string; pid: number; status: number }];
  signal: [string];
  /** covet-init is gone. */
  end: [];
}

export class InitClient extends EventEmitter<InitEvents> {
  readonly #env: Env;
  readonly #socket: PacketSocket;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #hello: { readonly id: number; readonly held: Held } | null = null;
  /** Heard before anybody listened: while this supervisor boots and recovers. */
  readonly #pendingSignals: string[] = [];
  pid = 0;
  /** Whether a supervisor before this one was ready: then what is wanted runs again by itself. */
  isResumed = false;
  /** Supervisors that died within the last minute. */
  deaths = 0;
  /** A service manager runs covet-init, and starts it again with all that it held. */
  isService = false;
  /** How long that one waits for `alive`; 0: it does not. */
  watchdogMs = 0;
  /** Files that covet-init was started with; empty for none. */
  lock = '';
  log = '';

  constructor(env: Env, fd: number) {
    super();
    this.#env = env;
    this.#socket = new env.native.PacketSocket(fd);
    this.#socket.start(
      (text, fds) => this.#receive(decodeInitPacket(text), fds),
      () => this.#end(),
    );
  }

  /**
   * Agrees on a version, and resolves with everything that covet-init holds. Which workers ended is told by events. Rejects when there is no
   * version that both speak.
   */
  async hello(): Promise<Held> {
    const held = new Held((fd) => this.#env.native.closeFd(fd));
    const reply = this.request('hello', { min: String(INIT_WIRE_VERSION.min), max: String(INIT_WIRE_VERSION.max) });
    this.#hello = { id: this.#lastId, held };
    await reply;
    return held;
  }

  /** Its executable; null where it cannot be told. */
  get path(): string | null {
    try {
      return readlinkSync(`/proc/${this.pid}/exe`);
    } catch {
      return null;
    }
  }

  request(verb: string, fields: Readonly<Record<string, string>> = {}): Promise<InitReply> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = this.#env.after(REPLY_TIMEOUT_MS, () =>
        this.#settle(id)?.reject(new Error(`covet-init did not answer ${verb} within ${REPLY_TIMEOUT_MS} ms`)),
      );
      this.#waiting.set(id, { resolve, reject, timer });
      try {
        this.#socket.send(encodeInitPacket({ verb, id, fields }));
      } catch (error) {
        this.#settle(id)?.reject(error as Error);
      }
    });
  }

  /** Each signal that covet-init was sent, those of the time before this call too. */
  onSignal(told: (name: string) => void): void {
    this.on('signal', told);
    for (const name of this.#pendingSignals.splice(0)) told(name);
  }

  /** For what gets no answer: `ready`'s and `quit`'s sender may be gone before one comes. */
  tell(verb: string, fields: Readonly<Record<string, string>> = {}): void {
    this.#socket.send(encodeInitPacket({ verb, id: ++this.#lastId, fields }));
  }

  close(): void {
    this.#socket.close();
  }

  #receive(packet: InitPacket, fds: readonly number[]): void {
    if (packet.id === 0) return this.#unasked(packet, fds);
    if (packet.id === this.#hello?.id) return this.#greeted(this.#hello.held, packet, fds);
    const waiting = this.#settle(packet.id);
    if (waiting === undefined) return fds.forEach((fd) => this.#env.native.closeFd(fd));
    if (packet.verb === 'error') waiting.reject(new InitError(packet.fields));
    else waiting.resolve({ fields: packet.fields, fds });
  }

  #greeted(held: Held, packet: InitPacket, fds: readonly number[]): void {
    switch (packet.verb) {
      case 'hello':
        this.pid = Number(packet.fields['pid']);
        this.isResumed = packet.fields['resumed'] === '1';
        this.deaths = Number(packet.fields['deaths'] ?? 0);
        this.isService = packet.fields['service'] === '1';
        this.watchdogMs = Number(packet.fields['watchdog'] ?? 0);
        this.lock = packet.fields['lock'] ?? '';
        this.log = packet.fields['log'] ?? '';
        if (!isSpoken(Number(packet.fields['version']))) this.#settle(packet.id)?.reject(otherVersion(packet.fields['version'] ?? 'none'));
        return;
      case 'exited':
      case 'failed':
        return this.#unasked(packet, fds);
      case 'end':
        this.#settle(packet.id)?.resolve({ fields: {}, fds });
        return;
      case 'error':
        this.#settle(packet.id)?.reject(refusalOf(new InitError(packet.fields)));
        return;
      default:
        held.take(packet, fds);
    }
  }

  #unasked({ verb, fields }: InitPacket, fds: readonly number[]): void {
    const key = fields['key'] ?? '';
    const pid = Number(fields['pid'] ?? 0);
    if (verb === 'running' && fds[0] !== undefined) this.emit('running', { key, pid, start: fields['start'] ?? '', pidfd: fds[0] });
    else if (verb === 'failed') this.emit('failed', { key, stage: fields['stage'] ?? '', errno: Number(fields['errno'] ?? 0) });
    else if (verb === 'exited') this.emit('exited', { key, pid, status: Number(fields['status'] ?? 0) });
    else if (verb === 'signal') this.#signalled(fields['name'] ?? '');
    else for (const fd of fds) this.#env.native.closeFd(fd);
  }

  #signalled(name: string): void {
    if (this.listenerCount('signal') > 0) this.emit('signal', name);
    else this.#pendingSignals.push(name);
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.timer.cancel();
    return waiting;
  }

  #end(): void {
    for (const id of [...this.#waiting.keys()]) this.#settle(id)?.reject(new Error('covet-init is gone'));
    this.emit('end');
  }
}

function isSpoken(version: number): boolean {
  return version >= INIT_WIRE_VERSION.min && version <= INIT_WIRE_VERSION.max;
}

/** covet-init outlives the release that started it: a newer supervisor may find an older one, and the other way round. */
function otherVersion(got: string, cause?: Error): Error {
  const { min, max } = INIT_WIRE_VERSION;
  return new Error(
    `Expected covet-init to speak a version from ${min} to ${max} of the wire between the two, got ${got}: it is of another release. ` +
      'Stop it and start covet-pm again.',
    { cause },
  );
}

/** covet-init looks at our versions as we at its own. */
function refusalOf(error: InitError): Error {
  return error.code === 'EPROTONOSUPPORT' ? otherVersion(`a refusal of these (${error.message})`, error) : error;
}
