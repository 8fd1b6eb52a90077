import { setImmediate as nextTurn } from 'node:timers/promises';
import { segmentNumberFields } from '@millrace/contracts';
import type { NumberCondition, SegmentComparison, SegmentCondition, SegmentQuery, TextCondition } from '@millrace/contracts';
import type { SubscriberColumns, TextColumn } from './columns.ts';

/** Writes 1 for each of `length` rows from `start` on that match, 0 for the others. */
type Fill = (start: number, length: number, out: Uint8Array) => void;

const BLOCK = 8_192;
/** Others want to be answered, too. */
const TURN_MS = 4;

const isNumberCondition = (condition: SegmentCondition): condition is NumberCondition => segmentNumberFields.some((name) => name === condition.field);

const bits = new DataView(new ArrayBuffer(8));
/** The next double above (IEEE 754). */
function nextUp(value: number): number {
  if (value === 0) return Number.MIN_VALUE;
  bits.setFloat64(0, value);
  bits.setBigInt64(0, bits.getBigInt64(0) + (value > 0 ? 1n : -1n));
  return bits.getFloat64(0);
}
const nextDown = (value: number): number => -nextUp(-value);

/** NaN is in no range, and outside of none. */
const inside = (values: Float64Array, least: number, most: number): Fill => (start, length, out) => {
  for (let at = 0; at < length; at += 1) {
    const value = values[start + at] ?? Number.NaN;
    out[at] = value >= least && value <= most ? 1 : 0;
  }
};
const outside = (values: Float64Array, least: number, most: number): Fill => (start, length, out) => {
  for (let at = 0; at < length; at += 1) {
    const value = values[start + at] ?? Number.NaN;
    out[at] = value < least || value > most ? 1 : 0;
  }
};
const passing = (values: Float64Array, test: (value: number) => boolean): Fill => (start, length, out) => {
  for (let at = 0; at < length; at += 1) out[at] = test(values[start + at] ?? Number.NaN) ? 1 : 0;
};

const { NEGATIVE_INFINITY: LEAST, POSITIVE_INFINITY: MOST } = Number;
type Range = readonly [least: number, most: number];
/** Both ends included. */
const RANGES: Readonly<Record<'eq' | SegmentComparison, (value: number) => Range>> = {
  eq: (value) => [value, value], gte: (value) => [value, MOST], gt: (value) => [nextUp(value), MOST], lte: (value) => [LEAST, value], lt: (value) => [LEAST, nextDown(value)],
};

function numberFill(values: Float64Array, condition: NumberCondition, isNegated: boolean): Fill {
  if (condition.op === 'is_null') return passing(values, isNegated ? (value) => !Number.isNaN(value) : (value) => Number.isNaN(value));
  if (condition.op === 'in') {
    const wanted = new Set(condition.value);
    return passing(values, isNegated ? (value) => !Number.isNaN(value) && !wanted.has(value) : (value) => wanted.has(value));
  }
  const [least, most] = condition.op === 'between' ? condition.value : RANGES[condition.op](condition.value);
  return (isNegated ? outside : inside)(values, least, most);
}

/** Each text is looked at once. */
function textFill({ codes, values }: TextColumn, condition: TextCondition, isNegated: boolean): Fill {
  const wanted = new Set<unknown>(condition.op === 'in' ? condition.value : condition.op === 'eq' ? [condition.value] : []);
  const matches = Uint8Array.from(values, (value) => (condition.op === 'is_null' ? (value === null) !== isNegated : value !== null && wanted.has(value) !== isNegated) ? 1 : 0);
  return (start, length, out) => {
    for (let at = 0; at < length; at += 1) out[at] = matches[codes[start + at] ?? 0] ?? 0;
  };
}

function combine(fills: readonly Fill[], isAnd: boolean): Fill {
  const [first, ...others] = fills;
  const scratch = new Uint8Array(BLOCK);
  return (start, length, out) => {
    first?.(start, length, out);
    for (const fill of others) {
      fill(start, length, scratch);
      if (isAnd) for (let at = 0; at < length; at += 1) out[at] = (out[at] ?? 0) & (scratch[at] ?? 0);
      else for (let at = 0; at < length; at += 1) out[at] = (out[at] ?? 0) | (scratch[at] ?? 0);
    }
  };
}

/** `not` moves down to the conditions (De Morgan), which holds in SQL's logic of three values: what is left needs only to be true. */
function compile(columns: SubscriberColumns, query: SegmentQuery, isNegated: boolean): Fill {
  if ('not' in query) return compile(columns, query.not, !isNegated);
  if ('and' in query) return combine(query.and.map((part) => compile(columns, part, isNegated)), !isNegated);
  if ('or' in query) return combine(query.or.map((part) => compile(columns, part, isNegated)), isNegated);
  return isNumberCondition(query) ? numberFill(columns.numbers[query.field], query, isNegated) : textFill(columns.texts[query.field], query, isNegated);
}

async function eachBlock(columns: SubscriberColumns, query: SegmentQuery, take: (mask: Uint8Array, start: number, length: number) => void): Promise<void> {
  const fill = compile(columns, query, false);
  const mask = new Uint8Array(BLOCK);
  let turnMs = performance.now();
  for (let start = 0; start < columns.rows; start += BLOCK) {
    const length = Math.min(BLOCK, columns.rows - start);
    fill(start, length, mask);
    take(mask, start, length);
    if (performance.now() - turnMs < TURN_MS) continue;
    await nextTurn();
    turnMs = performance.now();
  }
}

/** How many rows match. */
export async function countRows(columns: SubscriberColumns, query: SegmentQuery): Promise<number> {
  let count = 0;
  await eachBlock(columns, query, (mask, _start, length) => {
    for (let at = 0; at < length; at += 1) count += mask[at] ?? 0;
  });
  return count;
}

/** The rows that match, in their order. */
export async function findRows(columns: SubscriberColumns, query: SegmentQuery): Promise<Uint32Array> {
  const found = new Uint32Array(columns.rows);
  let count = 0;
  await eachBlock(columns, query, (mask, start, length) => {
    for (let at = 0; at < length; at += 1) {
      found[count] = start + at;
      count += mask[at] ?? 0;
    }
  });
  return found.slice(0, count);
}
