import { segmentNumberFields } from '@millrace/contracts';
import type { SegmentColumn, SegmentNumberField } from '@millrace/contracts';
import type { SubscriberColumns, TextColumn } from './columns.ts';

export interface RowOrder {
  readonly field: SegmentColumn;
  readonly direction: 'asc' | 'desc';
}

const isNumberField = (field: SegmentColumn): field is SegmentNumberField => segmentNumberFields.some((name) => name === field);

/** Of each row the place of its value among the values; `count` where it has none. */
interface Ranks {
  readonly ranks: Uint32Array;
  readonly count: number;
}

/** Values are sorted without a comparison function (which is much faster), and looked up among them. */
function numberRanks(values: Float64Array, rows: Uint32Array): Ranks {
  const own = new Float64Array(rows.length);
  for (let at = 0; at < rows.length; at += 1) own[at] = values[rows[at] ?? 0] ?? Number.NaN;
  const sorted = own.toSorted();
  let count = 0;
  // NaN is sorted last.
  for (let at = 0; at < sorted.length; at += 1) {
    const value = sorted[at] ?? Number.NaN;
    if (Number.isNaN(value)) break;
    if (count > 0 && sorted[count - 1] === value) continue;
    sorted[count] = value;
    count += 1;
  }
  const ranks = new Uint32Array(rows.length);
  for (let at = 0; at < rows.length; at += 1) ranks[at] = rankOf(sorted, count, own[at] ?? Number.NaN);
  return { ranks, count };
}

function rankOf(sorted: Float64Array, count: number, value: number): number {
  if (Number.isNaN(value)) return count;
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** By bytes, as the collation "C" has it. */
function textRanks({ codes, values }: TextColumn, rows: Uint32Array): Ranks {
  const texts = values.flatMap((value, code) => (value === null ? [] : [{ code, bytes: Buffer.from(value) }])).toSorted((a, b) => Buffer.compare(a.bytes, b.bytes));
  const byCode = new Uint32Array(values.length).fill(texts.length);
  for (const [rank, { code }] of texts.entries()) byCode[code] = rank;
  const ranks = new Uint32Array(rows.length);
  for (let at = 0; at < rows.length; at += 1) ranks[at] = byCode[codes[rows[at] ?? 0] ?? 0] ?? 0;
  return { ranks, count: texts.length };
}

/** Counting sort: stable, so that what was sorted before stays within equal values. Rows without a value come last. */
function sortByRanks(rows: Uint32Array, { ranks, count }: Ranks, isDescending: boolean): Uint32Array {
  if (isDescending) for (let at = 0; at < ranks.length; at += 1) if ((ranks[at] ?? 0) < count) ranks[at] = count - 1 - (ranks[at] ?? 0);
  const places = new Uint32Array(count + 2);
  for (let at = 0; at < ranks.length; at += 1) {
    const next = (ranks[at] ?? 0) + 1;
    places[next] = (places[next] ?? 0) + 1;
  }
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
    else ordered = sortByRanks(ordered, isNumberField(field) ? numberRanks(columns.numbers[field], ordered) : textRanks(columns.texts[field], ordered), isDescending);
  }
  return ordered;
}
