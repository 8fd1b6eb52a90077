import { indexUpdates } from '@millrace/contracts';
import type { EventPublisher } from '@millrace/bus';
import type { ChangedItem } from './embed-products.ts';

/** Tells the caches what readers can see now. */
export async function announce(bus: EventPublisher, changed: readonly ChangedItem[]): Promise<void> {
  const items = changed.map(({ sku, version, categories }) => ({ sku, version, categories: [...categories] }));
  if (items.length > 0) await bus.publish(indexUpdates, [{ type: 'changed', store: 'vectors', items }]);
}
