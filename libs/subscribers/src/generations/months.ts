/** Months that a profile keeps. */
export const KEPT_MONTHS = 24;

/** Months since the year 0, of 2026-10 and 2026-10-01. */
export const monthNumber = (date: string): number => Number(date.slice(0, 4)) * 12 + Number(date.slice(5, 7)) - 1;
export const monthName = (month: number): string => `${Math.floor(month / 12)}-${String((month % 12) + 1).padStart(2, '0')}`;

export interface ShownMonths {
  /** The oldest month: 2026-01. */
  readonly from: string;
  /** Months with a row. */
  readonly count: number;
  /** From the oldest to the newest month with a row. */
  readonly span: number;
  /** Place of each row in the span; undefined where there is no gap. */
  readonly places: readonly number[] | undefined;
}

const known = new Map<string, ShownMonths>();
const MAX_KNOWN = 10_000;

function readMask(mask: number, last: string): ShownMonths {
  const back = Array.from({ length: KEPT_MONTHS }, (_none, bit) => bit).filter((bit) => (mask >>> bit) % 2 === 1);
  const [newest = 0, oldest = 0] = [back[0], back.at(-1)];
  const span = oldest - newest + 1;
  return { from: monthName(monthNumber(last) - oldest), count: back.length, span, places: span === back.length ? undefined : back.toReversed().map((bit) => oldest - bit) };
}

/** What a mask of months means (bit n: there is a row of the month n before `last`). Few masks come often. */
export function monthsOf(mask: string, last: string): ShownMonths {
  const key = `${last} ${mask}`;
  const found = known.get(key);
  if (found !== undefined) return found;
  const shown = readMask(Number(mask), last);
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(key, shown);
  return shown;
}

/** `1,2` of the months 0 and 2 is `1,null,2`. */
export function withGaps(list: string, { span, places }: ShownMonths): string {
  if (places === undefined) return list;
  const values = list.split(',');
  const all = Array.from({ length: span }, () => 'null');
  for (const [at, place] of places.entries()) all[place] = values[at] ?? 'null';
  return all.join(',');
}
