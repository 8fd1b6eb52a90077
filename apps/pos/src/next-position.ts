/** Changes of the last second before the newest are read again: times are cut, and several products may share one. */
export const OVERLAP_MS = 1_000;

export interface PageTimes {
  /** When each item of the page changed, in the page's order; undefined where it does not say. */
  readonly times: readonly (number | undefined)[];
  /** Items of the page, also those that could not be read. */
  readonly count: number;
  /** Items in all, as the POS says; it may not know. */
  readonly total: number;
  /** The page is as long as was asked for. */
  readonly isFull: boolean;
  /** At least one item of the page was not seen before. */
  readonly isNews: boolean;
}

/**
 * Where to read on; undefined at the end: after an empty page, or after as many as the POS has, unless the page was full and brought news all the same. Pages are asked for in the order of their times, and what changes meanwhile moves to the end: an offset alone would
 * pass over what moved up into its place. So the next page begins with the last time of this one, wherever that leads on; by offset only within one
 * time, and where the POS does not keep the order.
 */
export function nextPosition({ from, offset }: { readonly from: number | null; readonly offset: number }, { times, count, total, isFull, isNews }: PageTimes): { from: number | null; offset: number } | undefined {
  if (count === 0 || (offset + count >= total && !(isFull && isNews))) return undefined;
  const known = times.filter((time) => time !== undefined);
  const isOrdered = known.length === times.length && known.every((time, at) => at === 0 || time >= (known[at - 1] ?? 0));
  const next = (known.at(-1) ?? 0) - OVERLAP_MS;
  return isOrdered && next > (from ?? 0) ? { from: next, offset: 0 } : { from, offset: offset + count };
}
