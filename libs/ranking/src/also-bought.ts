import { similarity } from './candidates.ts';
import type { Counts, FindItem, ItemFacts } from './counts.ts';

export type AlsoStage = 'co_buy' | 'co_view' | 'similar' | 'trending_in_category';
export interface AlsoBought { readonly item: ItemFacts; readonly score: number; readonly stage: AlsoStage; readonly together: number }

export interface AlsoBoughtInput {
  readonly counts: Counts;
  readonly find: FindItem;
  readonly item: ItemFacts;
  /** Nearest by content: sku -> cosine. */
  readonly similar: ReadonlyMap<string, number>;
  readonly limit: number;
}

/** What is bought together with an item, by shrunk similarity; where that is not enough: looked at together, alike, trending in its category. Hidden products never appear. */
export function alsoBought({ counts, find, item, similar, limit }: AlsoBoughtInput): readonly AlsoBought[] {
  const taken = new Map<string, AlsoBought>();
  const take = (stage: AlsoStage, offered: readonly { readonly sku: string; readonly score: number; readonly together: number }[]): void => {
    for (const { sku, score, together } of offered) {
      if (taken.size >= limit) return;
      const other = find(sku);
      if (other !== undefined && sku !== item.sku && !taken.has(sku)) taken.set(sku, { item: other, score, stage, together });
    }
  };
  for (const list of ['co_buy', 'co_view'] as const)
    take(list, counts.neighbours(list, item.sku).map(({ sku: other, count: together }) => ({ sku: other, together, score: similarity(counts, list, { sku: item.sku, other, together }) })).toSorted((a, b) => b.score - a.score));
  take('similar', [...similar].map(([sku, score]) => ({ sku, score, together: 0 })).toSorted((a, b) => b.score - a.score));
  if (item.category !== null) take('trending_in_category', counts.top('trending', item.category).map((sku, at) => ({ sku, score: 1 / (at + 1), together: 0 })));
  return [...taken.values()];
}
