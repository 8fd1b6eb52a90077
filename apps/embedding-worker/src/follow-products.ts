import { latestProductUpdates } from '@millrace/contracts';
import type { ProductUpdate } from '@millrace/contracts';
import type { BatchHandler, EventPublisher } from '@millrace/bus';
import { toProjected } from '@millrace/projection';
import { announce } from './announce.ts';
import type { Collections } from './collections.ts';
import { embedProducts } from './embed-products.ts';

export interface FollowProductsDeps {
  readonly collections: Pick<Collections, 'targets'>;
  readonly bus: EventPublisher;
  /** Commit times of events whose effects readers can see now. */
  readonly onVisible: (timestamps: readonly string[]) => unknown;
}

/**
 * Keeps the vector store (and a collection that is being built) equal to the catalogue and tells the caches what readers can see now. Safe
 * to call twice with the same events, in any order.
 */
export const followProducts =
  ({ collections, bus, onVisible }: FollowProductsDeps): BatchHandler<ProductUpdate> =>
  async (events) => {
    const changes = latestProductUpdates(events).map((event) => (event.type === 'delete' ? { sku: event.sku, version: event.version } : toProjected(event.product)));
    const targets = await collections.targets();
    const [changed = []] = await Promise.all(targets.map((target) => embedProducts(target, changes)));
    await announce(bus, changed);
    onVisible(events.map(({ meta }) => meta.timestamp));
  };
