/**
 * Reads what a covet-pm of another version wrote, less the fields that only that version knows: they are optional, or the format's own version
 * would be another. Everybody else's unknown field is a mistake, and refused where it is read.
 */
import * as v from 'valibot';

export interface Known<T> {
  readonly output: T;
  /** Dotted paths. */
  readonly ignored: readonly string[];
}

/** At most `max` fields are ignored, those of which `mayIgnore` gives leave by their path. Throws ValiError. */
export function parseKnown<T>(
  schema: v.GenericSchema<unknown, T>,
  given: unknown,
  max: number,
  mayIgnore: (path: readonly unknown[]) => boolean = () => true,
): Known<T> {
  const left = structuredClone(given);
  const ignored: string[] = [];
  for (;;) {
    const parsed = v.safeParse(schema, left);
    if (parsed.success) return { output: parsed.output, ignored };
    const issue = parsed.issues.find((each) => isUnknownField(each) && mayIgnore(each.path?.map(({ key }) => key) ?? []));
    const last = issue?.path?.at(-1);
    if (issue === undefined || last === undefined || ignored.length === max) throw new v.ValiError(parsed.issues);
    ignored.push(v.getDotPath(issue) ?? String(last.key));
    Reflect.deleteProperty(last.input as object, last.key as PropertyKey);
  }
}

/** What stands after "Expected `field` to be": of an object valibot has one message for whatever is wrong with it. */
export function expectedOf({ type, received, message }: v.BaseIssue<unknown>): string {
  if (type !== 'strict_object') return message;
  return received === 'undefined' ? 'given' : 'an object';
}

export function isUnknownField({ type, expected }: v.BaseIssue<unknown>): boolean {
  return type === 'strict_object' && expected === 'never';
}
