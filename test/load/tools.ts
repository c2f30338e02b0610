/** wrk and h2load, where they are installed: clients that nobody here wrote. Their own error counts are the result. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

export interface ToolResult {
  /** Answered as they should be. */
  readonly requests: number;
  /** Errors as the tool counts them, in words; empty when there were none. */
  readonly errors: readonly string[];
  readonly output: string;
}

export function isInstalled(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
}

export async function runWrk(url: string, options: { connections: number; seconds: number }): Promise<ToolResult> {
  const output = await outputOf('wrk', ['-t1', `-c${options.connections}`, `-d${options.seconds}s`, '--timeout', '10s', url]);
  const errors = [/Socket errors:.*/, /Non-2xx or 3xx responses:.*/].flatMap((line) => line.exec(output)?.[0] ?? []);
  return { requests: Number(/(\d+) requests in/.exec(output)?.[1] ?? 0), errors, output };
}

/**
 * So many requests over so many connections, not so many seconds: against a clock it does not count as failed what a connection that ends takes
 * with it. A client of it opens nothing after a GOAWAY, and gives up what it had still to ask: of HTTP/2 `requests` alone means something.
 */
export async function runH2load(url: string, options: { connections: number; requests: number; http1?: boolean }): Promise<ToolResult> {
  const { connections, requests, http1 = false } = options;
  const protocol = http1 ? ['--h1'] : [];
  const output = await outputOf('h2load', [
    ...protocol,
    '-c',
    String(connections),
    '-n',
    String(requests),
    '-m',
    http1 ? '2' : '1',
    '-t',
    '1',
    url,
  ]);
  const counts = /requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, .*/.exec(output);
  return { requests: Number(counts?.[1] ?? 0), errors: counts?.[2] === '0' ? [] : [counts?.[0] ?? output], output };
}

async function outputOf(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.stdout.on('data', (piece: Buffer) => (text += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (text += piece.toString()));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${String(code)}: ${text}`);
  return text;
}
