/**
 * A control server of a few lines on a real Unix socket: the other end of the wire, for what the client and the CLI do with
 * answers that a healthy supervisor rarely gives. Answers are functions by operation; `sent` keeps what came.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LineSplitter, RPC_LINE_BYTES_MAX, type RpcRequest } from '../../supervisor/protocol/rpc.ts';

export const PING = { apiVersion: 1, version: '9.9.9', control: { min: 1, max: 1 }, init: { pid: 1 }, supervisor: { pid: 2 } };

export interface Peer {
  readonly request: RpcRequest;
  answer(result: unknown): void;
  refuse(code: string, details?: Record<string, string | number>, result?: unknown): void;
  notify(method: string, params: unknown): void;
  readonly socket: Socket;
}

export class FakeSupervisor {
  readonly home = mkdtempSync(join(tmpdir(), 'covet-fake-'));
  readonly sent: RpcRequest[] = [];
  readonly #answers: Record<string, (peer: Peer) => void>;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#connected(socket));
  #wake: () => void = () => undefined;

  private constructor(answers: Record<string, (peer: Peer) => void>) {
    this.#answers = { ping: (peer) => peer.answer(PING), ...answers };
  }

  static async listen(answers: Record<string, (peer: Peer) => void>): Promise<FakeSupervisor> {
    const made = new FakeSupervisor(answers);
    chmodSync(made.home, 0o755);
    mkdirSync(join(made.home, 'run'));
    await new Promise<void>((resolve) => made.#server.listen(made.socketPath, resolve));
    return made;
  }

  get socketPath(): string {
    return join(this.home, 'run', 'control.sock');
  }

  /** Resolves when a request or notification with this method has come. */
  async received(method: string): Promise<RpcRequest> {
    for (;;) {
      const found = this.sent.find((request) => request.method === method);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.home, { recursive: true, force: true });
  }

  #connected(socket: Socket): void {
    this.#sockets.add(socket);
    const lines = new LineSplitter(RPC_LINE_BYTES_MAX);
    const write = (message: object) => socket.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (chunk) => {
      for (const line of lines.push(chunk)) {
        const request = JSON.parse(line) as RpcRequest;
        this.sent.push(request);
        this.#wake();
        this.#answers[request.method]?.({
          request,
          answer: (result) => write({ id: request.id, result }),
          refuse: (code, details = {}, result) =>
            write({ id: request.id, error: { code: -32000, message: code, data: { code, details, result } } }),
          notify: (method, params) => write({ method, params }),
          socket,
        });
      }
    });
  }
}
