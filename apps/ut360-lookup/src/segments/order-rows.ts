import { segmentNumberFields } from '@millrace/contracts';
import type { SegmentColumn, SegmentNumberField } from '@millrace/contracts';
import type { SubscriberColumns, TextColumn } from './columns.ts';

export interface RowOrder {
  readonly field: SegmentColumn;
  readonly direction: 'asc' | 'desc';
}

const isNumberField = (field: SegmentColumn): field is SegmentNumberField => segmentNumberFields.some((name) => name === field);

interface Ranks {
  /** Place of a row's value among the values; the number of ranks where it has none. */
  readonly of: (row: number) => number;
  readonly count: number;
}

/** Values are sorted without a comparison function (which is much faster), and looked up among them. */
function numberRanks(values: Float64Array, rows: Uint32Array): Ranks {
  const sorted = Float64Array.from(rows, (row) => values[row] ?? Number.NaN).toSorted();
  let count = 0;
  // NaN is sorted last.
  for (const value of sorted) {
    if (Number.isNaN(value)) break;
    if (count === 0 || sorted[count - 1] !== value) {
      sorted[count] = value;
      count += 1;
    }
  }
  const rankOf = (value: number): number => {
    let [low, high] = [0, count];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((sorted[middle] ?? 0) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return { count, of: (row) => (Number.isNaN(values[row]) ? count : rankOf(values[row] ?? 0)) };
}

/** By bytes, as the collation "C" has it. */
function textRanks({ codes, values }: TextColumn): Ranks {
  const texts = values.flatMap((value, code) => (value === null ? [] : [{ code, bytes: Buffer.from(value) }])).toSorted((a, b) => Buffer.compare(a.bytes, b.bytes));
  const rankOf = new Uint32Array(values.length).fill(texts.length);
  for (const [rank, { code }] of texts.entries()) rankOf[code] = rank;
  return { count: texts.length, of: (row) => rankOf[codes[row] ?? 0] ?? 0 };
}

/** Counting sort: stable, so that what was sorted before stays within equal values. Rows without a value come last. */
function sortByRanks(rows: Uint32Array, { of, count }: Ranks, isDescending: boolean): Uint32Array {
  const ranks = Uint32Array.from(rows, (row) => {
    const rank = of(row);
    return isDescending && rank < count ? count - 1 - rank : rank;
  });
  const places = new Uint32Array(count + 2);
  for (const rank of ranks) places[rank + 1] = (places[rank + 1] ?? 0) + 1;
  for (let at = 1; at < places.length; at += 1) places[at] = (places[at] ?? 0) + (places[at - 1] ?? 0);
  const sorted = new Uint32Array(rows.length);
  for (let at = 0; at < rows.length; at += 1) {
    const rank = ranks[at] ?? 0;
    const place = places[rank] ?? 0;
    sorted[place] = rows[at] ?? 0;
    places[rank] = place + 1;
  }
  return sorted;
}

/** `order by a, b, isdn`, absent values last. The rows come in the order of their ISDNs. */
export function orderRows(columns: SubscriberColumns, rows: Uint32Array, order: readonly RowOrder[]): Uint32Array {
  let ordered = rows;
  for (const { field, direction } of order.toReversed()) {
    const isDescending = direction === 'desc';
    if (field === 'isdn') ordered = isDescending ? ordered.toSorted().toReversed() : ordered.toSorted();
    else ordered = sortByRanks(ordered, isNumberField(field) ? numberRanks(columns.numbers[field], ordered) : textRanks(columns.texts[field]), isDescending);
  }
  return ordered;
}
