/**
 * Watches a reuseport group's guard, the member that is never lent and that the program never picks. A connection that arrives there says
 * that the program is gone: SO_LOCK_FILTER keeps a worker from attaching one, but the kernel lets whoever holds a member detach it
 * (seen on Linux 6.18). The kernel then spreads over all members, the guard among them, until the program is put back.
 */
import { createServer, type Server } from 'node:net';

export class Guard {
  readonly #server: Server;

  /** Owns the descriptor. `onAlarm` once for each connection, which is reset: nobody is there to serve it. */
  constructor(fd: number, onAlarm: () => void) {
    this.#server = createServer((socket) => {
      socket.on('error', () => {}); // its client may be gone already
      socket.resetAndDestroy();
      onAlarm();
    });
    this.#server.listen({ fd });
    this.#server.unref();
  }

  close(): void {
    this.#server.close();
  }
}
