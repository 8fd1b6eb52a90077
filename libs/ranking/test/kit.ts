import { EMPTY_HISTORY, planInteraction } from '../src/index.ts';
import type { FindItem, InteractionType, ItemFacts, UserHistory } from '../src/index.ts';
import { createMemoryCounts } from '../src/testing.ts';
import type { MemoryCounts } from '../src/testing.ts';

export const NOW = Date.UTC(2026, 5, 1);
export const MINUTE = 60_000;
export const DAY = 86_400_000;

/** `sku` or `sku/category/brand/price`. */
export function catalogue(...texts: string[]): FindItem {
  const items = new Map(texts.map((text): [string, ItemFacts] => {
    const [sku = '', category, brand, price] = text.split('/');
    return [sku, { sku, category: category || null, brand: brand || null, priceMinor: price ? Number(price) : null, currency: 'USD' }];
  }));
  return (sku) => items.get(sku);
}

export interface Shop {
  readonly counts: MemoryCounts;
  readonly act: (user: string, type: InteractionType, sku: string, atMs?: number) => void;
  readonly basket: (user: string, skus: readonly string[], atMs?: number) => void;
  readonly history: (user: string) => UserHistory;
}

export function shop(find: FindItem = () => undefined): Shop {
  const counts = createMemoryCounts();
  const histories = new Map<string, UserHistory>();
  const act: Shop['act'] = (user, type, sku, atMs = NOW - 30 * DAY) => {
    const { history, increments } = planInteraction(histories.get(user) ?? EMPTY_HISTORY, { sku, type, atMs, category: find(sku)?.category ?? null });
    counts.apply(increments);
    histories.set(user, history);
  };
  return { counts, act, basket: (user, skus, atMs) => skus.forEach((sku) => act(user, 'purchase', sku, atMs)), history: (user) => histories.get(user) ?? EMPTY_HISTORY };
}
