import { AppError } from '@millrace/service';
import type { ErrorDetail } from '@millrace/service';
import type { z } from 'zod';

const escapePointer = (key: PropertyKey): string => String(key).replaceAll('~', '~0').replaceAll('/', '~1');

/** An answer never grows with how much was wrong. */
const MAX_DETAILS = 20;

/** RFC 6901 pointer of a path. */
export const toPointer = (path: readonly PropertyKey[]): string => path.map((key) => `/${escapePointer(key)}`).join('');

const article = (noun: string): string => `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`;
const unitOf: Readonly<Record<string, string>> = { string: ' characters', array: ' items', record: ' entries' };

/** zod's own words in ours; a schema that has a message of its own keeps it. */
export function sentenceOf(issue: z.core.$ZodIssue): string {
  if (!/^(Invalid|Too)\b/.test(issue.message)) return issue.message;
  if (issue.code === 'invalid_type') return issue.message.endsWith('received undefined') ? 'is required' : `must be ${article(issue.expected === 'int' ? 'whole number' : issue.expected)}`;
  if (issue.code === 'invalid_value') return `must be ${issue.values.map(String).join(' or ')}`;
  if (issue.code !== 'too_small' && issue.code !== 'too_big') return issue.message;
  const unit = unitOf[issue.origin];
  const bound = issue.code === 'too_small' ? `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}` : `${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}`;
  return unit === undefined ? `must be ${bound}` : `must have ${bound}${unit}`;
}

/** Unknown keys are reported one by one, at their own place. */
function detailsOf(issue: z.core.$ZodIssue, where: ErrorDetail['in']): ErrorDetail[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.slice(0, MAX_DETAILS).map((key) => ({ in: where, pointer: toPointer([...issue.path, key]), detail: `is not known here${where === 'query' ? ' as a parameter' : ''}` }));
  if (issue.code === 'invalid_union') {
    const deepest = issue.errors.flat().toSorted((a, b) => b.path.length - a.path.length)[0];
    if (deepest) return detailsOf({ ...deepest, path: [...issue.path, ...deepest.path] }, where);
  }
  return [{ in: where, pointer: toPointer(issue.path), detail: sentenceOf(issue) }];
}

/** Parses one part of a request; throws invalid_request with a pointer to each wrong value. */
export function parsePart<S extends z.ZodType>(schema: S, value: unknown, where: ErrorDetail['in']): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const details = parsed.error.issues.slice(0, MAX_DETAILS).flatMap((issue) => detailsOf(issue, where)).slice(0, MAX_DETAILS);
  const first = details[0];
  const place = first?.pointer === '' || first === undefined ? `the ${where}` : `${where} ${first.pointer}`;
  throw new AppError('invalid_request', `${place}: ${first?.detail ?? 'is not valid'}`, { details });
}
