import { latestProductUpdates } from '@millrace/contracts';
import type { ProductUpdate } from '@millrace/contracts';
import type { BatchHandler, EventPublisher } from '@millrace/bus';
import { toProjected } from '@millrace/projection';
import { announce } from './announce.ts';
import { indexProducts, refuse } from './index-products.ts';
import type { IndexProductsDeps } from './index-products.ts';
import type { Indexes } from './indexes.ts';

export interface FollowProductsDeps extends IndexProductsDeps {
  readonly indexes: Pick<Indexes, 'targets'>;
  readonly bus: EventPublisher;
  /** Commit times of events whose effects readers can see now. */
  readonly onVisible: (timestamps: readonly string[]) => unknown;
}

/**
 * Keeps the search index (and one that is being built) equal to the catalogue and tells the caches what readers can see now. Safe to call
 * twice with the same events, in any order.
 */
export const followProducts =
  ({ tracker, indexes, bus, onVisible }: FollowProductsDeps): BatchHandler<ProductUpdate> =>
  async (events) => {
    const changes = latestProductUpdates(events).map((event) => (event.type === 'delete' ? { sku: event.sku, version: event.version } : toProjected(event.product)));
    const targets = await indexes.targets();
    const done = await Promise.all(targets.map((target) => indexProducts({ tracker }, target, changes)));
    await announce(bus, done[0]?.accepted ?? []);
    for (const indexed of done) refuse(indexed, changes.length);
    onVisible(events.map(({ meta }) => meta.timestamp));
  };
