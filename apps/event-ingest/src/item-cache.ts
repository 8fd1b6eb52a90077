import type { BatchHandler } from '@millrace/bus';
import type { ProductUpdate } from '@millrace/contracts';
import { within } from '@millrace/service';
import { LRUCache } from 'lru-cache';
import type { KnownItem } from './item.repository.ts';

export type Item = Pick<KnownItem, 'category' | 'brand'>;

export interface ItemCache {
  /** Category and brand of each; what is unknown, or cannot be looked up within `waitMs`, has neither. At once where all are in memory. */
  find(skus: readonly string[]): Promise<ReadonlyMap<string, Item>>;
  /** For the broadcast of the catalogue's changes. */
  readonly follow: BatchHandler<ProductUpdate>;
  clear(): void;
}

export interface ItemCacheDeps {
  readonly load: (skus: readonly string[]) => Promise<readonly KnownItem[]>;
  readonly waitMs?: number;
  readonly capacity?: number;
}

const UNKNOWN: Item & { readonly version: number } = { version: 0, category: null, brand: null };
/** How long an item that is not there is not asked for again; its creation comes by the broadcast. */
const UNKNOWN_MS = 30_000;
/** After a failed look nobody asks for so long: an event must not wait for a database that is away. */
const PAUSE_MS = 1_000;

/** The items projection in memory, kept by the broadcast; at most `capacity` items (about 200 bytes each). Never rejects. */
export function createItemCache({ load, waitMs = 100, capacity = 100_000 }: ItemCacheDeps): ItemCache {
  const items = new LRUCache<string, Item & { readonly version: number }>({ max: capacity });
  let pausedUntil = 0;
  const keep = ({ sku, version, category, brand }: KnownItem): void => {
    if ((items.get(sku)?.version ?? -1) < version) items.set(sku, { version, category, brand });
  };
  const leaveAlone = (): void => void (pausedUntil = performance.now() + PAUSE_MS);
  const look = async (missing: readonly string[]): Promise<void> => {
    try {
      for (const item of await load(missing)) keep(item);
      for (const sku of missing) if (!items.has(sku)) items.set(sku, UNKNOWN, { ttl: UNKNOWN_MS });
    } catch {
      // The event is worth more than its category: it goes without.
      leaveAlone();
    }
  };
  return {
    async find(skus) {
      const missing = skus.filter((sku) => !items.has(sku));
      if (missing.length > 0 && performance.now() >= pausedUntil) {
        await within(waitMs, look([...new Set(missing)]), () => new Error(`no items within ${waitMs} ms`)).catch(leaveAlone);
      }
      return new Map(skus.map((sku) => [sku, items.get(sku) ?? UNKNOWN]));
    },
    follow: async (events) => {
      for (const event of events) if (event.type !== 'delete') keep(event.product);
    },
    clear: () => items.clear(),
  };
}
