/** The part of `ws` that the load client uses; the package ships no types. */
declare module 'ws' {
  import type { EventEmitter } from 'node:events';
  export class WebSocket extends EventEmitter {
    constructor(url: string, options?: { rejectUnauthorized?: boolean; handshakeTimeout?: number; perMessageDeflate?: boolean });
    send(data: Buffer | string, options: { binary: boolean }, sent: (error?: Error) => void): void;
    close(code?: number): void;
    terminate(): void;
  }
}
