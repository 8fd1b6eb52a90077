import type { BatchHandler, EventSubscriber } from '@millrace/bus';
import { fromMinor, productUpdates } from '@millrace/contracts';
import type { Product, ProductUpdate } from '@millrace/contracts';
import { toProjected } from '@millrace/projection';
import type { ProjectedChange, ReadExport } from '@millrace/projection';
import type { FindItem, ItemFacts } from '@millrace/ranking';

export interface Item extends ItemFacts {
  readonly name: string;
  readonly imageUrl: string | null;
  readonly createdAt: string;
  readonly isSoldOut: boolean;
}

export interface Items {
  /** A product that may be shown: active and not sold out. */
  readonly find: FindItem;
  /** A product that exists, sold out or not. */
  get(sku: string): Item | undefined;
  /** Newest first, at most 200; of one category, or of all. */
  newest(category: string | undefined): readonly string[];
  /** Older versions than the known one change nothing. */
  apply(changes: readonly ProjectedChange[]): void;
  readonly size: number;
}

const MAX_NEWEST = 200;
/** A list of newest products is made anew after a change, at most so often. */
const NEWEST_MS = 1_000;

const toItem = (product: Product): Item => ({
  sku: product.sku, name: product.name, category: product.category, brand: product.brand, priceMinor: product.price_minor, currency: product.currency,
  imageUrl: product.image_url, createdAt: product.created_at, isSoldOut: product.stock === 0,
});

export const priceOf = ({ priceMinor, currency }: ItemFacts): number | null => (priceMinor === null ? null : Number(fromMinor(priceMinor, currency)));

/** The products in the memory of this instance. */
export function createItems(now: () => number = Date.now): Items {
  const items = new Map<string, Item>();
  const versions = new Map<string, number>();
  const lists = new Map<string | undefined, { readonly madeAtMs: number; readonly changes: number; readonly skus: readonly string[] }>();
  let changes = 0;
  const shown = (sku: string): Item | undefined => {
    const item = items.get(sku);
    return item?.isSoldOut === true ? undefined : item;
  };
  return {
    find: shown,
    get: (sku) => items.get(sku),
    newest: (category) => {
      const known = lists.get(category);
      if (known && (known.changes === changes || now() - known.madeAtMs < NEWEST_MS)) return known.skus;
      const inCategory = [...items.values()].filter((item) => !item.isSoldOut && (category === undefined || item.category === category));
      const skus = inCategory.toSorted((a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : 0)).slice(0, MAX_NEWEST).map(({ sku }) => sku);
      if (lists.size > 1_000) lists.clear();
      if (skus.length > 0) lists.set(category, { madeAtMs: now(), changes, skus });
      return skus;
    },
    apply: (all) => {
      for (const { sku, version, product } of all) {
        if ((versions.get(sku) ?? 0) >= version) continue;
        versions.set(sku, version);
        changes += 1;
        if (product === undefined) items.delete(sku);
        else items.set(sku, toItem(product));
      }
    },
    get size() {
      return items.size;
    },
  };
}

/** Keeps the products equal to the catalogue. Safe to call twice with the same events, in any order. */
export const followItems = (items: Pick<Items, 'apply'>): BatchHandler<ProductUpdate> =>
  async (events) => items.apply(events.map((event) => (event.type === 'delete' ? { sku: event.sku, version: event.version } : toProjected(event.product))));

/** Every instance follows by itself and reads the export first, and again after a gap. Resolves when subscribed. */
export async function subscribeItems({ bus, items, readExport, signal }: { readonly bus: EventSubscriber; readonly items: Items; readonly readExport: ReadExport; readonly signal: AbortSignal }, onFilled: () => void): Promise<void> {
  const fill = async (): Promise<void> => {
    await readExport({ batchSize: 2_000, signal }, async (changes) => items.apply(changes));
    onFilled();
  };
  await bus.subscribe(productUpdates, { mode: 'broadcast', signal, onGap: fill }, followItems(items));
}
