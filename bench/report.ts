/**
 * What every benchmark prints and keeps: a table, the verdicts (the lost ones too), the command, the machine; raw samples as JSON. A
 * ratio that breaks a build (statistics.ts) makes the benchmark exit 1.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../test/promises/root.ts';
import { describeMachine } from './machine.ts';
import { breaksBuild, type Claim, type Figure, judge, type Verdict } from './statistics.ts';

export interface Judged {
  /** "CPU per new connection, covet-pm over node:cluster NONE". */
  readonly what: string;
  readonly figure: Figure;
  readonly claim: Claim;
}

export interface Report {
  /** Of the benchmark's file. */
  readonly name: string;
  readonly question: string;
  readonly small: boolean;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly judged: readonly Judged[];
  /** Rounds thrown out and why, and whatever else a reader must know. */
  readonly notes: readonly string[];
  readonly samples: unknown;
}

/** Prints the report and keeps it in bench/results. A small run keeps nothing: its figures mean nothing. */
export function report(result: Report): void {
  const command = `npx tsx bench/${result.name}.ts${process.argv
    .slice(2)
    .map((argument) => ` ${argument}`)
    .join('')}`;
  process.stdout.write(`${linesOf(result, command).join('\n')}\n`);
  if (!result.small) keep(result, command, join(repositoryRoot(), 'bench/results'));
  if (result.judged.some(({ figure, claim }) => breaksBuild(figure, claim))) process.exitCode = 1;
}

/** What is printed. */
export function linesOf(result: Report, command: string): string[] {
  return [
    `# ${result.question}`,
    ...table(result.columns, result.rows),
    '',
    ...result.judged.map(
      ({ what, figure, claim }) =>
        `${judge(figure, claim).padEnd(12)}  ${what}: ${show(figure)}; claimed: ${claim.kind}${'limit' in claim ? ` ${claim.limit}` : ''}` +
        (breaksBuild(figure, claim) ? '; this breaks a build' : ''),
    ),
    ...result.notes.map((note) => `note: ${note}`),
    `${command}  ·  ${describeMachine()}`,
  ];
}

/** Everything, raw samples too, so that another may judge it by other rules. */
export function keep(result: Report, command: string, folder: string): void {
  const verdicts = result.judged.map(({ figure, claim }): Verdict => judge(figure, claim));
  const kept = { ...result, command, machine: describeMachine(), at: new Date().toISOString(), verdicts };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${result.name}.json`), `${JSON.stringify(kept, null, 1)}\n`);
}

/** "1.02 [0.98, 1.05] n=15". */
export function show({ median, low, high, n }: Figure): string {
  return `${digits(median)} [${digits(low)}, ${digits(high)}] n=${n}`;
}

/** Three figures are all that such a measurement has. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '-∞';
  return Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = columns.map((column, i) => Math.max(column.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]): string => `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  return [line(columns), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)];
}
