import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { operations } from '../src/index.ts';
import type { Operation } from '../src/index.ts';

const DEPTH = 100_000;
/** JSON that is nested deeper than any stack of calls. */
const deep: unknown = JSON.parse(`${'[{"a":'.repeat(DEPTH)}1${'}]'.repeat(DEPTH)}`);
const polluting = '{"polluted":true}';

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);
type Parts = readonly { readonly of: string; readonly schema: z.ZodType; readonly example: unknown }[];
const partsOf = ({ operationId, body, bodyExample, query, params, headers }: Operation): Parts =>
  Object.entries({ body, query, params, headers }).flatMap(([part, schema]) => (schema === undefined ? [] : [{ of: `${operationId} ${part}`, schema, example: part === 'body' ? bodyExample : undefined }]));
const parts = operations.flatMap(partsOf);
/** Bodies that hold JSON of any form. */
const FREE = ['editDeadLetter body'];
const bodies = parts.filter(({ of }) => of.endsWith(' body'));
/** Fields of a body, and what is below its own lists and objects. */
function placesOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (Array.isArray(value)) return [path, ...placesOf(value[0], [...path, '0'])];
  return isRecord(value) ? [path, ...Object.entries(value).flatMap(([key, inner]) => placesOf(inner, [...path, key]))] : [path];
}
/** The example with something else at one place. */
function withAt(value: unknown, [key, ...rest]: readonly string[], put: unknown): unknown {
  if (key === undefined) return put;
  if (Array.isArray(value)) return [withAt(value[0], rest, put), ...value.slice(1)];
  return isRecord(value) ? { ...value, [key]: withAt(value[key], rest, put) } : value;
}
const fieldsOf = (schema: z.ZodType): readonly string[] => (schema instanceof z.ZodObject ? Object.keys(schema.shape) : []);

describe('every body of the API', () => {
  it('has an example that it takes', () => expect(bodies.filter(({ schema, example }) => !schema.safeParse(example).success).map(({ of }) => of)).toEqual([]));
  it('is refused with an error, never an overflow, where it is nested too deep', () => {
    for (const { of, schema, example } of bodies)
      for (const place of placesOf(example)) {
        let thrown: unknown;
        try {
          schema.safeParse(withAt(example, place, deep));
        } catch (error) {
          thrown = error;
        }
        expect([of, place, String(thrown)]).toEqual([of, place, 'undefined']);
      }
  });
  it('refuses fields that it does not name, so that nobody assigns what is not theirs to set', () => {
    const takes = bodies.filter(({ schema, example }) => isRecord(example) && ['is_admin', 'id', 'workspace_id', 'version', 'constructor'].some((name) => !fieldsOf(schema).includes(name) && schema.safeParse({ ...example, [name]: 1 }).success));
    expect(takes.map(({ of }) => of)).toEqual([]);
  });
  it('lets no __proto__ or constructor through, at any depth, and changes no prototype', () => {
    for (const { of, schema, example } of bodies)
      for (const place of placesOf(example))
        for (const name of ['__proto__', 'constructor']) {
          const inner: unknown = JSON.parse(`{"${name}":${name === 'constructor' ? `{"prototype":${polluting}}` : polluting}}`);
          const parsed = schema.safeParse(withAt(example, place, inner));
          const seen: unknown = Reflect.get({}, 'polluted');
          expect([of, place, seen, parsed.success && Reflect.get(isRecord(parsed.data) ? parsed.data : {}, 'polluted')]).toEqual([of, place, undefined, parsed.success ? undefined : false]);
        }
  });
  it('takes nothing but a number for a number', () => {
    // What is no number to JSON must be none to us: null, true and [] are numbers to JavaScript.
    const hostile: readonly unknown[] = [...['1e400', '-1e400'].map((text): unknown => JSON.parse(text)), true, [], {}];
    const numbers = bodies.filter(({ of }) => !FREE.includes(of)).flatMap(({ of, schema, example }) => placesOf(example).flatMap((place) => (typeof place.reduce<unknown>((at, key) => (isRecord(at) || Array.isArray(at) ? Reflect.get(at, key) : undefined), example) === 'number' ? [{ of, schema, example, place }] : [])));
    expect(numbers.length).toBeGreaterThan(20);
    const taken = numbers.filter(({ schema, example, place }) => hostile.some((value) => schema.safeParse(withAt(example, place, value)).success));
    expect(taken.map(({ of, place }) => `${of} ${place.join('/')}`)).toEqual([]);
  });
});

describe('every parameter of the API', () => {
  // A test that hangs fails by jest's own timeout.
  const hostile = ['a'.repeat(50_000), `${'a'.repeat(50_000)}!`, ' '.repeat(50_000), `${'1'.repeat(50_000)}x`, '-'.repeat(50_000), 'a@'.repeat(25_000), 'a,'.repeat(25_000), '0.'.repeat(25_000), 'https://a.'.repeat(5_000), '\t'.repeat(50_000), 'ă'.repeat(50_000), '2026-01-01T00:00:00'.repeat(2_000), `1.${'0'.repeat(50_000)}1`];
  it('is read in one go, however hostile its text is', () => {
    const texts = [
      ...parts.flatMap(({ schema }) => fieldsOf(schema).flatMap((field) => hostile.map((text) => schema.safeParse({ [field]: text }).success))),
      ...bodies.flatMap(({ schema, example }) => placesOf(example).flatMap((place) => hostile.map((text) => schema.safeParse(withAt(example, place, text)).success))),
    ];
    expect(texts.length).toBeGreaterThan(3_000);
  });
  it('is refused where it is not known', () => expect(parts.filter(({ of, schema }) => / (query|params)$/.test(of) && schema.safeParse({ surprise: '1' }).success).map(({ of }) => of)).toEqual([]));
});
