import type { EventSubscriber } from '@millrace/bus';
import type { ResponseCache } from '@millrace/cache';
import { indexUpdates, productUpdates } from '@millrace/contracts';
import type { IndexUpdate, ProductUpdate } from '@millrace/contracts';
import { tags } from './cached-operations.ts';

const tagsOfProducts = (events: readonly ProductUpdate[]): string[] => events.map((event) => tags.sku(event.type === 'delete' ? event.sku : event.product.sku));

const tagsOfIndex = (event: IndexUpdate): string[] =>
  event.type === 'changed' ? [tags.open(event.store), ...event.items.flatMap(({ sku, categories }) => [tags.sku(sku), ...categories.map(tags.category)])] : [tags.store(event.store)];

/**
 * Purges what changed, on every instance: products when they are committed, answers of search and similarity when readers see the change. Where events were
 * missed everything is purged. Any number of instances may do the same twice, in any order.
 */
export async function followUpdates(bus: EventSubscriber, cache: ResponseCache): Promise<void> {
  const onGap = (): Promise<void> => cache.purge(undefined);
  await Promise.all([
    bus.subscribe(productUpdates, { mode: 'broadcast', onGap }, (events) => cache.purge([...new Set(tagsOfProducts(events))])),
    bus.subscribe(indexUpdates, { mode: 'broadcast', onGap }, (events) => cache.purge([...new Set(events.flatMap(tagsOfIndex))])),
  ]);
}
