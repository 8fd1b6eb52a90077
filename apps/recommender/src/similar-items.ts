import { within } from '@millrace/service';
import type { VectorReader } from '@millrace/vectors';
import { LRUCache } from 'lru-cache';

/** sku -> cosine; undefined: not in time, or the vector store is away. */
export type FindSimilarTo = (sku: string) => Promise<ReadonlyMap<string, number> | undefined>;

const NEIGHBOURS = 50;
const MAX_CACHED = 5_000;
const CACHED_MS = 60_000;

/** Nearest products by content, remembered for a minute. Never rejects and never takes longer than `timeoutMs`; a late answer serves the next call. */
export function createFindSimilar({ vectors, timeoutMs, onFailure }: { readonly vectors: Pick<VectorReader, 'get' | 'nearest'>; readonly timeoutMs: number; readonly onFailure: () => void }): FindSimilarTo {
  const known = new LRUCache<string, Promise<ReadonlyMap<string, number> | undefined>>({ max: MAX_CACHED, ttl: CACHED_MS });
  const search = async (sku: string): Promise<ReadonlyMap<string, number>> => {
    const record = await vectors.get(sku);
    if (record?.vector === undefined) return new Map();
    const hits = await vectors.nearest(record.vector, { limit: NEIGHBOURS, excludeSkus: [sku] });
    return new Map(hits.map((hit) => [hit.sku, hit.score]));
  };
  const ask = (sku: string): Promise<ReadonlyMap<string, number> | undefined> => {
    const found = known.get(sku) ?? search(sku).catch(() => {
      known.delete(sku);
      onFailure();
      return undefined;
    });
    known.set(sku, found, { noUpdateTTL: true });
    return found;
  };
  // Only lateness rejects.
  return (sku) => within(timeoutMs, ask(sku), () => new Error(`no answer within ${timeoutMs} ms`)).catch(() => undefined);
}
