import type { CursorPosition } from '../cursor.ts';
import type { SearchSort } from '../ports.ts';
import type { Match } from './match.ts';

/** The sort of a query without words is by date where relevance was asked: every document is as relevant as the next. */
export const effectiveSort = (sort: SearchSort, hasWords: boolean): SearchSort => (sort === 'relevance' && !hasWords ? 'newest' : sort);

/** What a match is sorted by; null sorts last. */
export function sortKey(match: Match, sort: SearchSort): number | null {
  if (sort === 'relevance') return match.score;
  return sort === 'newest' ? match.createdMs : match.priceMinor;
}

interface Keyed { readonly key: number | null; readonly sku: string }

/** Below 0 where a comes before b. Equal keys are in the order of their skus, so no two positions are the same. */
export function compareKeys(a: Keyed, b: Keyed, sort: SearchSort): number {
  if (a.key !== b.key) {
    if (a.key === null) return 1;
    if (b.key === null) return -1;
    return sort === 'price_asc' ? a.key - b.key : b.key - a.key;
  }
  return a.sku < b.sku ? -1 : a.sku > b.sku ? 1 : 0;
}

/**
 * Where the page starts. Scores move a little whenever any document changes (how rare a word is, how long texts are), so a page of a relevance
 * sort starts after the *present* place of the last hit, as long as that document itself is unchanged.
 */
export function startAfter(cursor: CursorPosition | undefined, matches: readonly Match[], sort: SearchSort): Keyed | undefined {
  if (cursor === undefined || sort !== 'relevance') return cursor;
  const last = matches.find((match) => match.sku === cursor.sku);
  return last !== undefined && last.version === cursor.version ? { key: last.score, sku: last.sku } : cursor;
}

/** The first `count` matches after `start`, in order, without sorting the rest. */
export function firstMatches(matches: readonly Match[], { sort, start, count }: { sort: SearchSort; start: Keyed | undefined; count: number }): Match[] {
  const best: (Keyed & { match: Match })[] = [];
  for (const match of matches) {
    const entry = { key: sortKey(match, sort), sku: match.sku, match };
    if (start !== undefined && compareKeys(entry, start, sort) <= 0) continue;
    const last = best.at(-1);
    if (best.length === count && last !== undefined && compareKeys(entry, last, sort) > 0) continue;
    let low = 0;
    let high = best.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = best[middle];
      if (other !== undefined && compareKeys(other, entry, sort) < 0) low = middle + 1;
      else high = middle;
    }
    best.splice(low, 0, entry);
    if (best.length > count) best.pop();
  }
  return best.map(({ match }) => match);
}
