import type { FacetCount, SearchAnswer } from '../ports.ts';
import { PRICE_BORDERS, priceRangeOf } from '../price-ranges.ts';
import type { Match } from './match.ts';
import type { Cell, Database } from './sqlite.ts';

/** Values of a facet that an answer lists; the commonest ones where there are more. */
export const MAX_FACET_VALUES = 100;

const compareText = (a: string | number, b: string | number): number => (a < b ? -1 : a > b ? 1 : 0);

/** Commonest first, equal ones by value. */
const top = <V extends string | number>(facet: FacetCount<V>[]): FacetCount<V>[] =>
  facet.toSorted((a, b) => b.count - a.count || compareText(a.value, b.value)).slice(0, MAX_FACET_VALUES);

const count = (counts: Map<Cell, number>, value: Cell): void => {
  if (value !== null) counts.set(value, (counts.get(value) ?? 0) + 1);
};

/** Counts over all matching documents, in one pass. */
export function countFacets(db: Database, matches: readonly Match[]): SearchAnswer['facets'] {
  const category = new Map<Cell, number>();
  const brand = new Map<Cell, number>();
  const merchant = new Map<Cell, number>();
  const price = PRICE_BORDERS.map(() => 0);
  for (const match of matches) {
    count(category, match.category);
    count(brand, match.brand);
    count(merchant, match.merchant);
    if (match.priceMinor === null) continue;
    const range = priceRangeOf(match.priceMinor);
    price[range] = (price[range] ?? 0) + 1;
  }
  const named = (table: 'category' | 'brand', counts: Map<Cell, number>): FacetCount[] =>
    top([...counts].map(([id, total]) => ({ value: String(db.row(`select name from ${table} where id = ?`, id)?.[0]), count: total })));
  return {
    category: named('category', category),
    brand: named('brand', brand),
    merchant: top([...merchant].map(([value, total]) => ({ value: Number(value), count: total }))),
    price: price.flatMap((total, i) => {
      const toMinor = PRICE_BORDERS[i + 1];
      const fromMinor = PRICE_BORDERS[i] ?? 0;
      if (total === 0) return [];
      return [toMinor === undefined ? { fromMinor, count: total } : { fromMinor, toMinor, count: total }];
    }),
  };
}
