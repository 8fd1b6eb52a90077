import { indexUpdates } from '@millrace/contracts';
import type { EventPublisher } from '@millrace/bus';
import type { ChangedItem, EmbedOutcome } from './embed-products.ts';

/** Tells the caches what readers can see now. */
export async function announce(bus: EventPublisher, changed: readonly ChangedItem[]): Promise<void> {
  const items = changed.map(({ sku, version, categories }) => ({ sku, version, categories: [...categories] }));
  if (items.length > 0) await bus.publish(indexUpdates, [{ type: 'changed', store: 'vectors', items }]);
}

/** For batches that come again as a whole where a product waits for the model: what landed is told before. @throws EmbeddingUnavailableError where one does */
export async function announceThenThrow(bus: EventPublisher, { changed, waiting }: EmbedOutcome): Promise<void> {
  await announce(bus, changed.filter((item) => !item.again));
  if (waiting !== undefined) throw waiting.error;
}
