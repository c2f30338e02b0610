/**
 * Reads HTTP/1.1 responses strictly (RFC 9112): what is not exactly a response is an error, never repaired. Push bytes in, get
 * head, body pieces and end out; several responses may come in one piece. Knows nothing of sockets.
 */
import { Lost } from './tally.ts';

export interface Head {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  /** `Connection: close` was said. */
  readonly close: boolean;
}

export interface ResponseSink {
  head(head: Head): void;
  body(piece: Buffer): void;
  end(): void;
}

const HEAD_BYTES_MAX = 65_536;
const CHUNK_SIZE = /^([0-9a-f]{1,8})$/i;
const STATUS_LINE = /^HTTP\/1\.1 ([2-5]\d\d) [\t\x20-\x7e]*$/;
const FIELD_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/;

type State =
  | { readonly in: 'head' }
  | { readonly in: 'length'; left: number }
  | { readonly in: 'chunk-size' }
  | { readonly in: 'chunk'; left: number }
  | { readonly in: 'chunk-end' }
  | { readonly in: 'trailer' }
  | { readonly in: 'until-eof' };

export class Http1Reader {
  readonly #sink: ResponseSink;
  #state: State = { in: 'head' };
  #rest: Buffer = Buffer.alloc(0);

  constructor(sink: ResponseSink) {
    this.#sink = sink;
  }

  /** True when part of a response has come, and not its end. */
  get inside(): boolean {
    return this.#state.in !== 'head' || this.#rest.length > 0;
  }

  push(piece: Buffer): void {
    this.#rest = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    while (this.#step());
  }

  /** The other side sent FIN. Returns true when that ended a response as it may. */
  eof(): boolean {
    if (this.#state.in !== 'until-eof') return false;
    this.#finish();
    return true;
  }

  #step(): boolean {
    const state = this.#state;
    switch (state.in) {
      case 'head':
        return this.#readHead();
      case 'length':
      case 'chunk':
        return this.#readBody(state);
      case 'chunk-size':
        return this.#readLine((line) => {
          const size = CHUNK_SIZE.exec(line)?.[1];
          if (size === undefined) throw new Lost('protocol', `no chunk size: ${JSON.stringify(line.slice(0, 80))}`);
          const left = Number.parseInt(size, 16);
          this.#state = left === 0 ? { in: 'trailer' } : { in: 'chunk', left };
        });
      case 'chunk-end':
        return this.#readLine((line) => {
          if (line !== '') throw new Lost('protocol', `no end of chunk: ${JSON.stringify(line.slice(0, 80))}`);
          this.#state = { in: 'chunk-size' };
        });
      case 'trailer':
        return this.#readLine((line) => {
          if (line === '') this.#finish();
          else if (!FIELD_LINE.test(line)) throw new Lost('protocol', `no trailer: ${JSON.stringify(line.slice(0, 80))}`);
        });
      case 'until-eof':
        if (this.#rest.length > 0) this.#sink.body(this.#rest);
        this.#rest = Buffer.alloc(0);
        return false;
    }
  }

  #readHead(): boolean {
    const end = this.#rest.indexOf('\r\n\r\n');
    if (end === -1) {
      const start = this.#rest.toString('latin1', 0, Math.min(8, this.#rest.length));
      if (!'HTTP/1.1'.startsWith(start) || this.#rest.length > HEAD_BYTES_MAX)
        throw new Lost('protocol', `no head: ${JSON.stringify(start)}`);
      return false;
    }
    const [statusLine = '', ...lines] = this.#rest.toString('latin1', 0, end).split('\r\n');
    this.#rest = this.#rest.subarray(end + 4);
    const status = Number(STATUS_LINE.exec(statusLine)?.[1] ?? Number.NaN);
    if (Number.isNaN(status)) throw new Lost('protocol', `no status line: ${JSON.stringify(statusLine.slice(0, 80))}`);
    const headers = new Map<string, string>();
    for (const line of lines) {
      const field = FIELD_LINE.exec(line);
      if (field === null) throw new Lost('protocol', `no field line: ${JSON.stringify(line.slice(0, 80))}`);
      headers.set(field[1]!.toLowerCase(), field[2]!);
    }
    this.#state = bodyOf(headers);
    this.#sink.head({ status, headers, close: /\bclose\b/i.test(headers.get('connection') ?? '') });
    if (this.#state.in === 'length' && this.#state.left === 0) this.#finish();
    return true;
  }

  #readBody(state: { in: 'length' | 'chunk'; left: number }): boolean {
    if (this.#rest.length === 0) return false;
    const piece = this.#rest.subarray(0, state.left);
    this.#rest = this.#rest.subarray(piece.length);
    state.left -= piece.length;
    this.#sink.body(piece);
    if (state.left > 0) return false;
    if (state.in === 'chunk') this.#state = { in: 'chunk-end' };
    else this.#finish();
    return true;
  }

  #readLine(take: (line: string) => void): boolean {
    const end = this.#rest.indexOf('\r\n');
    if (end === -1) return false;
    const line = this.#rest.toString('latin1', 0, end);
    this.#rest = this.#rest.subarray(end + 2);
    take(line);
    return true;
  }

  #finish(): void {
    this.#state = { in: 'head' };
    this.#sink.end();
  }
}

function bodyOf(headers: ReadonlyMap<string, string>): State {
  const length = headers.get('content-length');
  const coding = headers.get('transfer-encoding');
  if (length !== undefined && coding !== undefined) throw new Lost('protocol', 'both Content-Length and Transfer-Encoding');
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked') throw new Lost('protocol', `Transfer-Encoding: ${coding}`);
    return { in: 'chunk-size' };
  }
  if (length === undefined) return { in: 'until-eof' };
  if (!/^\d+$/.test(length)) throw new Lost('protocol', `Content-Length: ${length}`);
  return { in: 'length', left: Number(length) };
}
