import { isDeepStrictEqual } from 'node:util';
import { nameOf, resolve } from './document.ts';
import type { Document, ObjectSchema, Schema } from './document.ts';
import { valuesOf, variantsOf } from './variants.ts';
import type { Variant } from './variants.ts';

/** `text` is one sentence that stays the same for the same change: a breaking one is declared by it. */
export interface Change { readonly isBreaking: boolean; readonly text: string }

/** What callers send may only be taken more widely, what they get may only become narrower. */
export type Direction = 'request' | 'answer';

export interface Comparison {
  readonly from: Document;
  readonly to: Document;
  readonly changes: Change[];
  /** Pairs that are compared already: an old schema, and the new ones that it was compared with. */
  readonly seen: Readonly<Record<Direction, WeakMap<object, WeakSet<object>>>>;
}

interface Pair<T> { readonly direction: Direction; readonly place: string; readonly old: T; readonly now: T }

const breaking = (place: string, text: string): Change => ({ isBreaking: true, text: `${place}: ${text}` });
const additive = (place: string, text: string): Change => ({ isBreaking: false, text: `${place}: ${text}` });
const quoted = (value: unknown): string => JSON.stringify(value) ?? 'nothing';

const LOWER_BOUNDS = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'];
const UPPER_BOUNDS = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'];
/** Those that narrow in a way that cannot be ordered. */
const FILTERS = ['pattern', 'format', 'multipleOf', 'uniqueItems', 'propertyNames', 'allOf', 'not', 'if', 'prefixItems', 'contains', 'patternProperties', 'dependentRequired'];

function compareBounds({ place, old, now }: Pair<ObjectSchema>): Change[] {
  const changes: Change[] = [];
  for (const [names, sign] of [[LOWER_BOUNDS, 1], [UPPER_BOUNDS, -1]] as const)
    for (const name of names) {
      const [before, after] = [old[name], now[name]].map((value) => (typeof value === 'number' ? value * sign : -Infinity));
      if (before === undefined || after === undefined || before === after) continue;
      const text = `${name} ${quoted(old[name])} became ${quoted(now[name])}`;
      changes.push(after > before ? breaking(place, text) : additive(place, text));
    }
  for (const name of FILTERS) {
    if (isDeepStrictEqual(old[name], now[name])) continue;
    const text = `${name} ${quoted(old[name])} became ${quoted(now[name])}`;
    changes.push(now[name] === undefined ? additive(place, text) : breaking(place, text));
  }
  return changes;
}

function compareValues({ direction, place, old, now }: Pair<ObjectSchema>): Change[] {
  const [before, after] = [valuesOf(old), valuesOf(now)];
  if (before === undefined && after === undefined) return [];
  const isRequest = direction === 'request';
  if (before === undefined) return [isRequest ? breaking(place, `takes only ${quoted(after)} now`) : additive(place, `is one of ${quoted(after)} now`)];
  if (after === undefined) return [isRequest ? additive(place, 'takes other values too') : breaking(place, 'may be any value now')];
  const lost = before.filter((value) => !after.includes(value)).map((value) => (isRequest ? breaking(place, `does not take ${quoted(value)} any more`) : additive(place, `is never ${quoted(value)} any more`)));
  // A caller has to bear values that it does not know: a longer list in an answer is no break.
  const added = after.filter((value) => !before.includes(value)).map((value) => additive(place, `${isRequest ? 'takes' : 'may be'} ${quoted(value)} too`));
  return [...lost, ...added];
}

function compareProperty({ direction, place, old, now }: Pair<ObjectSchema>, name: string): Change[] {
  const [isOld, isNew] = [old.properties?.[name] !== undefined, now.properties?.[name] !== undefined];
  const [wasRequired, isRequired] = [old.required?.includes(name) === true, now.required?.includes(name) === true];
  if (isOld && !isNew) return [breaking(place, 'is removed')];
  if (!isOld && isNew) return [direction === 'request' && isRequired ? breaking(place, 'is new and required') : additive(place, 'is new')];
  if (wasRequired === isRequired) return [];
  if (isRequired) return [direction === 'request' ? breaking(place, 'is required now') : additive(place, 'is always there now')];
  return [direction === 'request' ? additive(place, 'is optional now') : breaking(place, 'may be missing now')];
}

function compareObjects(comparison: Comparison, pair: Pair<ObjectSchema>): void {
  const { direction, place, old, now } = pair;
  for (const name of new Set([...Object.keys(old.properties ?? {}), ...Object.keys(now.properties ?? {})])) {
    const below = `${place}/${name}`;
    comparison.changes.push(...compareProperty({ ...pair, place: below }, name));
    const [before, after] = [old.properties?.[name], now.properties?.[name]];
    if (before !== undefined && after !== undefined) compareSchemas(comparison, { direction, place: below, old: before, now: after });
  }
  const [before, after] = [old.additionalProperties ?? true, now.additionalProperties ?? true];
  if (before !== false && after === false) comparison.changes.push(direction === 'request' ? breaking(place, 'takes no other properties any more') : additive(place, 'has no other properties any more'));
  else if (before === false && after !== false) comparison.changes.push(additive(place, direction === 'request' ? 'takes other properties too' : 'may have other properties now'));
  else if (before !== false) compareSchemas(comparison, { direction, place: `${place}/{}`, old: before, now: after });
}

function compareVariant(comparison: Comparison, pair: Pair<Variant>): void {
  const inside = { ...pair, old: pair.old.schema, now: pair.now.schema };
  // The only two types that are ever paired: a number is the wider one.
  if (pair.old.type !== pair.now.type) comparison.changes.push(((pair.now.type === 'number') === (pair.direction === 'request') ? additive : breaking)(pair.place, `is ${pair.now.type} now, was ${pair.old.type}`));
  comparison.changes.push(...compareValues(inside));
  if (pair.direction === 'request') comparison.changes.push(...compareBounds(inside));
  if (pair.old.type === 'object') compareObjects(comparison, inside);
  if (pair.old.type === 'array') compareSchemas(comparison, { ...inside, place: `${pair.place}/*`, old: inside.old.items ?? true, now: inside.now.items ?? true });
}

const isNumber = ({ type }: Variant): boolean => type === 'number' || type === 'integer';

/** Which of the new alternatives stands for which of the old ones: by name, else the only ones that are left of a type. */
function matchVariants(old: readonly Variant[], now: readonly Variant[]): { pairs: readonly (readonly [Variant, Variant])[]; lost: readonly Variant[]; added: readonly Variant[] } {
  const named = old.flatMap((one) => now.filter(({ name }) => name === one.name).map((other) => [one, other] as const));
  const lost = old.filter((one) => !named.some(([before]) => before === one));
  const added = now.filter((one) => !named.some(([, after]) => after === one));
  const isLike = (one: Variant, other: Variant): boolean => one.type === other.type || (isNumber(one) && isNumber(other));
  const left = lost.flatMap((one) => {
    const [first, ...more] = added.filter((other) => isLike(one, other));
    return first !== undefined && more.length === 0 && lost.filter((other) => isLike(other, first)).length === 1 ? [[one, first] as const] : [];
  });
  return { pairs: [...named, ...left], lost: lost.filter((one) => !left.some(([before]) => before === one)), added: added.filter((one) => !left.some(([, after]) => after === one)) };
}

/** Is this pair seen for the first time? Schemas may hold themselves. */
function isFirst({ seen }: Comparison, { direction, old, now }: Pair<Schema>): boolean {
  if (typeof old === 'boolean' || typeof now === 'boolean') return true;
  const partners = seen[direction].get(old) ?? new WeakSet();
  seen[direction].set(old, partners);
  return !partners.has(now) && partners.add(now).has(now);
}

/** Adds what has changed between two schemas at a place. */
export function compareSchemas(comparison: Comparison, pair: Pair<Schema>): void {
  const { direction, place, old, now } = pair;
  const name = nameOf(old);
  // Once for all operations that have it.
  if (name !== undefined && name === nameOf(now)) return compareSchemas(comparison, { direction, place: `${name} (${direction})`, old: resolve(comparison.from, old), now: resolve(comparison.to, now) });
  if (!isFirst(comparison, pair)) return undefined;
  const [before, after] = [variantsOf(comparison.from, old), variantsOf(comparison.to, now)];
  const [wasAny, isAny] = [before, after].map((variants) => variants.some(({ type }) => type === undefined));
  const isRequest = direction === 'request';
  if (wasAny !== isAny) {
    const text = isAny === true ? 'may be of any type now' : `is ${after.map((one) => one.name).join(' or ')} now, was of any type`;
    comparison.changes.push(isAny === isRequest ? additive(place, text) : breaking(place, text));
    return undefined;
  }
  const { pairs, lost, added } = matchVariants(before, after);
  for (const one of lost) comparison.changes.push(isRequest ? breaking(place, `does not take ${one.name} any more`) : additive(place, `is never ${one.name} any more`));
  for (const one of added) comparison.changes.push(isRequest ? additive(place, `takes ${one.name} too`) : breaking(place, `may be ${one.name} now`));
  for (const [one, other] of pairs) compareVariant(comparison, { direction, place: before.length > 1 && one.type === 'object' ? `${place}/(${one.name})` : place, old: one, now: other });
  return undefined;
}
