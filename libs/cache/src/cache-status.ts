import type { CacheResult } from './response-cache.ts';

const seconds = (ms: number): number => Math.floor(ms / 1_000);

const DETAILS = { near: 'near', hit: undefined, stale: 'stale-while-revalidate', stale_error: 'stale-if-error' } as const;

/** `Cache-Status` (RFC 9211) and, of an answer from the cache, `Age` (RFC 9111, 5.1). */
export function cacheHeaders(cache: string, { outcome, ageMs, ttlMs, isStored }: Pick<CacheResult, 'outcome' | 'ageMs' | 'ttlMs' | 'isStored'>): Record<string, string> {
  if (ageMs !== undefined && ttlMs !== undefined && (outcome === 'near' || outcome === 'hit' || outcome === 'stale' || outcome === 'stale_error')) {
    const detail = DETAILS[outcome];
    const how = outcome === 'stale_error' ? 'fwd=stale' : 'hit';
    return { 'cache-status': `${cache}; ${how}; ttl=${seconds(ttlMs)}${detail === undefined ? '' : `; detail=${detail}`}`, age: String(seconds(ageMs)) };
  }
  if (outcome === 'bypass') return { 'cache-status': `${cache}; fwd=bypass` };
  return { 'cache-status': `${cache}; fwd=uri-miss${outcome === 'collapsed' ? '; collapsed' : ''}${isStored === true ? '; stored' : ''}` };
}
