import { indexUpdates } from '@millrace/contracts';
import type { EventPublisher } from '@millrace/bus';
import type { ChangeResult } from '@millrace/search';

/** Tells the caches what readers can see now: what was applied, not what was stale. */
export async function announce(bus: EventPublisher, results: readonly ChangeResult[]): Promise<void> {
  const items = results.filter((result) => result.outcome === 'applied').map(({ sku, version, categories }) => ({ sku, version, categories: [...categories] }));
  if (items.length > 0) await bus.publish(indexUpdates, [{ type: 'changed', store: 'search', items }]);
}
