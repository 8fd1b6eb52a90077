import type { CursorPosition } from '../cursor.ts';
import type { SearchQuery, SearchSort } from '../ports.ts';
import type { Match } from './match.ts';

/** What an answer is sorted by. `grouped`: by the group that merchandising gave each product, then by date. */
export type Order = SearchSort | 'grouped';

/** Without words every document is as relevant as the next: relevance is by date then. */
export const orderOf = ({ sort, merchandising }: SearchQuery, hasWords: boolean): Order => {
  if (sort !== 'relevance' || hasWords) return sort;
  return merchandising !== undefined && merchandising.pins.length + merchandising.boosts.length > 0 ? 'grouped' : 'newest';
};

export interface Keyed { readonly group: number; readonly key: number | null; readonly sku: string }

/** What a match is sorted by; null sorts last. */
export function keyOf(match: Match, order: Order): Keyed {
  const { sku } = match;
  if (order === 'relevance') return { group: 0, key: match.score, sku };
  if (order === 'grouped') return { group: match.score, key: match.createdMs, sku };
  return { group: 0, key: order === 'newest' ? match.createdMs : match.priceMinor, sku };
}

/** Below 0 where a comes before b. Equal keys are in the order of their skus, so no two positions are the same. */
export function compareKeys(a: Keyed, b: Keyed, order: Order): number {
  if (a.group !== b.group) return b.group - a.group;
  if (a.key !== b.key) {
    if (a.key === null) return 1;
    if (b.key === null) return -1;
    return order === 'price_asc' ? a.key - b.key : b.key - a.key;
  }
  return a.sku < b.sku ? -1 : a.sku > b.sku ? 1 : 0;
}

/**
 * Where the page starts. Scores move a little whenever any document changes (how rare a word is, how long texts are), so a page of a relevance
 * sort starts after the *present* place of the last hit, as long as that document itself is unchanged.
 */
export function startAfter(cursor: CursorPosition | undefined, matches: readonly Match[], order: Order): Keyed | undefined {
  if (cursor === undefined || order !== 'relevance') return cursor;
  const last = matches.find((match) => match.sku === cursor.sku);
  return last !== undefined && last.version === cursor.version ? keyOf(last, order) : cursor;
}

/** The first `count` matches after `start`, in order, without sorting the rest. */
export function firstMatches(matches: readonly Match[], { order, start, count }: { order: Order; start: Keyed | undefined; count: number }): Match[] {
  const best: (Keyed & { match: Match })[] = [];
  for (const match of matches) {
    const entry = { ...keyOf(match, order), match };
    if (start !== undefined && compareKeys(entry, start, order) <= 0) continue;
    const last = best.at(-1);
    if (best.length === count && last !== undefined && compareKeys(entry, last, order) > 0) continue;
    let low = 0;
    let high = best.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = best[middle];
      if (other !== undefined && compareKeys(other, entry, order) < 0) low = middle + 1;
      else high = middle;
    }
    best.splice(low, 0, entry);
    if (best.length > count) best.pop();
  }
  return best.map(({ match }) => match);
}
