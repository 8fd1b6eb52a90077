import { createHash } from 'node:crypto';
import { InvalidCursorError } from '@millrace/search';
import type { SearchQuery } from '@millrace/search';
import { z } from 'zod';

const cursorSchema = z.strictObject({ hybrid: z.string(), at: z.int().min(1).max(1_000), sku: z.string().max(1_000) });

/** All that decides which products there are and in which order, synonyms and rules too; the page's size may change between pages. */
export const fingerprint = ({ q, currency, minPriceMinor, maxPriceMinor, merchantId, category, brand, inStock, expansions, merchandising }: SearchQuery): string =>
  createHash('sha256')
    .update(JSON.stringify([q ?? '', currency, minPriceMinor ?? null, maxPriceMinor ?? null, merchantId ?? null, category ?? null, brand ?? null, inStock ?? null, expansions ?? [], merchandising ?? null]))
    .digest('base64url')
    .slice(0, 16);

/** `at`: how many products the pages so far have shown; the sku is that of the last one. */
export const encodeHybridCursor = (query: SearchQuery, at: number, sku: string): string => Buffer.from(JSON.stringify({ hybrid: fingerprint(query), at, sku })).toString('base64url');

/**
 * Where the next page begins in the list as it is now: behind the last product that was shown, or at its old place where that is gone.
 * 0 without a cursor. Throws InvalidCursorError for a cursor of another query, of a search that was not fused, or from before a change of the synonyms or rules that apply.
 */
export function startOfPage(query: SearchQuery, list: readonly { readonly sku: string }[]): number {
  if (query.cursor === undefined) return 0;
  const cursor = cursorSchema.safeParse(parseJson(query.cursor));
  if (!cursor.success || cursor.data.hybrid !== fingerprint(query)) throw new InvalidCursorError('the cursor belongs to another query');
  const place = list.findIndex(({ sku }) => sku === cursor.data.sku);
  return place < 0 ? cursor.data.at : place + 1;
}

function parseJson(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
