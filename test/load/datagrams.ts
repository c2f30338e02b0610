/**
 * Clients of a datagram server: each has a port of its own, sends numbered datagrams at a steady rate, and never sends one again. Every
 * one is counted: it was answered, or it is lost.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

/** Nothing on loopback takes so long to be answered, on a machine that does much else at once. */
const ANSWER_MS = 10_000;

export interface DatagramAnswer {
  readonly pid: number;
  readonly slot: number;
  readonly build: string;
  /** The number that was asked. */
  readonly n: number;
}

export class DatagramLoad {
  readonly #sockets: readonly Socket[];
  readonly #port: number;
  readonly #answered = new Map<number, DatagramAnswer>();
  #sent = 0;
  #timer: NodeJS.Timeout | null = null;
  #onAnswer: () => void = () => {};

  static async open(port: number, clients: number): Promise<DatagramLoad> {
    const sockets = Array.from({ length: clients }, () => createSocket('udp4'));
    for (const socket of sockets) socket.bind(0, '127.0.0.1');
    await Promise.all(sockets.map(async (socket) => once(socket, 'listening')));
    return new DatagramLoad(sockets, port);
  }

  private constructor(sockets: readonly Socket[], port: number) {
    this.#sockets = sockets;
    this.#port = port;
    for (const socket of sockets) socket.on('message', (data) => this.#heard(JSON.parse(data.toString()) as DatagramAnswer));
  }

  get sent(): number {
    return this.#sent;
  }

  get answers(): DatagramAnswer[] {
    return [...this.#answered.values()];
  }

  /** The numbers that nobody has answered yet. */
  get missing(): number[] {
    return Array.from({ length: this.#sent }, (_, n) => n).filter((n) => !this.#answered.has(n));
  }

  /** One from each client, now. */
  sendRound(): void {
    for (const socket of this.#sockets) socket.send(String(this.#sent++), this.#port, '127.0.0.1');
  }

  /** A round every so often, until settled(). */
  begin(everyMs: number): void {
    this.#timer = setInterval(() => this.sendRound(), everyMs);
  }

  /** Sends no more. Resolves with what is lost: an answer that is still on its way is waited for. */
  async settled(answerMs = ANSWER_MS): Promise<number[]> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, answerMs);
      this.#onAnswer = () => {
        if (this.#answered.size < this.#sent) return;
        clearTimeout(timer);
        resolve();
      };
      this.#onAnswer();
    });
    return this.missing;
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.close();
  }

  #heard(answer: DatagramAnswer): void {
    if (this.#answered.has(answer.n)) throw new Error(`Expected one answer to ${answer.n}, got another from ${answer.pid}`);
    this.#answered.set(answer.n, answer);
    this.#onAnswer();
  }
}
