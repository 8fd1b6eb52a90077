import { createHash } from 'node:crypto';
import { z } from 'zod';
import { InvalidCursorError } from './ports.ts';
import type { SearchQuery } from './ports.ts';
import type { Merchandising } from './relevance.ts';

export type Engine = 'embedded' | 'elasticsearch';

/**
 * Where a page ended: the last hit's sort key (a score, a price or a time; null = it has none), its sku and its version. `group` comes before the
 * key where merchandising acts on products without a score; 0 elsewhere.
 */
export interface CursorPosition { readonly group: number; readonly key: number | null; readonly sku: string; readonly version: number }

const FORMAT = 2;
const NOTHING: Merchandising = { pins: [], hides: [], boosts: [] };
const cursorSchema = z.tuple([z.literal(FORMAT), z.string(), z.number(), z.number().nullable(), z.string().max(1_000), z.int()]);

/**
 * All that decides which hits there are and in which order; the page's size may change between pages. A change of the synonyms or rules that apply
 * ends a cursor: going on would show a product that was pinned meanwhile never, and one that is pinned no more twice.
 */
const fingerprint = (engine: Engine, query: SearchQuery): string =>
  createHash('sha256')
    .update(JSON.stringify([
      engine, query.q ?? '', query.currency, query.minPriceMinor ?? null, query.maxPriceMinor ?? null, query.merchantId ?? null,
      query.category ?? null, query.brand ?? null, query.inStock ?? null, query.sort,
      query.expansions ?? [], query.merchandising ?? NOTHING,
    ]))
    .digest('base64url')
    .slice(0, 16);

export const encodeCursor = (engine: Engine, query: SearchQuery, { group, key, sku, version }: CursorPosition): string =>
  Buffer.from(JSON.stringify([FORMAT, fingerprint(engine, query), group, key, sku, version])).toString('base64url');

/** Undefined where the query has no cursor. Throws InvalidCursorError for one that this engine did not make for this query. */
export function decodeCursor(engine: Engine, query: SearchQuery): CursorPosition | undefined {
  if (query.cursor === undefined) return undefined;
  const parsed = cursorSchema.safeParse(parseJson(query.cursor));
  if (!parsed.success) throw new InvalidCursorError('the cursor is malformed');
  const [, print, group, key, sku, version] = parsed.data;
  if (print !== fingerprint(engine, query)) throw new InvalidCursorError('the cursor belongs to another query, or the rules for this one have changed: begin with the first page');
  return { group, key, sku, version };
}

function parseJson(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
