import { LRUCache } from 'lru-cache';
import type { Stored } from './shared-store.ts';

/** Answers in this process' own memory, for a moment. */
export interface NearCache {
  get(id: string): Stored | undefined;
  /** `purges`: what the function said before the answer was read: an answer that may have been purged meanwhile is not kept. */
  put(id: string, stored: Stored, purges: number): void;
  /** How many purges there were. */
  purges(): number;
  /** undefined: everything. */
  purge(tags: readonly string[] | undefined): void;
  readonly bytes: () => number;
  readonly size: () => number;
}

export interface NearCacheOptions {
  /** 0: none. */
  readonly maxBytes: number;
  /** No answer is given from here for longer; nor for longer than it is fresh. */
  readonly lifetimeMs: number;
  readonly onEvict: () => void;
}

interface Near { readonly stored: Stored; readonly atMs: number }

/** What an entry costs besides its body, and each of its tags, roughly. */
const OVERHEAD_BYTES = 1_024;
const TAG_BYTES = 256;

export function createNearCache({ maxBytes, lifetimeMs, onEvict }: NearCacheOptions): NearCache {
  const byTag = new Map<string, Set<string>>();
  let purges = 0;
  const forget = (id: string, { stored }: Near): void => {
    for (const tag of stored.tags) {
      const ids = byTag.get(tag);
      ids?.delete(id);
      if (ids?.size === 0) byTag.delete(tag);
    }
  };
  const kept = maxBytes === 0 ? undefined : new LRUCache<string, Near>({
    maxSize: maxBytes, ttl: lifetimeMs, ttlResolution: 0, sizeCalculation: ({ stored }) => OVERHEAD_BYTES + TAG_BYTES * stored.tags.length + stored.answer.body.length,
    dispose: (near, id, reason) => {
      forget(id, near);
      if (reason === 'evict') onEvict();
    },
  });
  return {
    get: (id) => {
      const near = kept?.get(id);
      if (!near) return undefined;
      const ageMs = near.stored.ageMs + performance.now() - near.atMs;
      return ageMs < near.stored.freshMs ? { ...near.stored, ageMs } : undefined;
    },
    put: (id, stored, since) => {
      if (!kept || purges !== since) return;
      kept.set(id, { stored, atMs: performance.now() });
      // What is larger than the whole is not kept.
      if (!kept.has(id)) return;
      for (const tag of stored.tags) byTag.set(tag, (byTag.get(tag) ?? new Set()).add(id));
    },
    purges: () => purges,
    purge: (tags) => {
      purges += 1;
      if (tags === undefined) kept?.clear();
      else for (const tag of tags) for (const id of byTag.get(tag) ?? []) kept?.delete(id);
    },
    bytes: () => kept?.calculatedSize ?? 0,
    size: () => kept?.size ?? 0,
  };
}
