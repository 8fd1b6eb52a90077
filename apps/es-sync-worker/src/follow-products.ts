import { latestProductUpdates } from '@millrace/contracts';
import type { ProductUpdate } from '@millrace/contracts';
import type { BatchHandler, EventPublisher } from '@millrace/bus';
import { toProjected } from '@millrace/projection';
import type { Lane, LiveHealth } from '@millrace/projection';
import { announce } from './announce.ts';
import { indexProducts, refuse } from './index-products.ts';
import type { IndexProductsDeps } from './index-products.ts';
import type { Indexes } from './indexes.ts';

export interface FollowProductsDeps extends IndexProductsDeps {
  readonly indexes: Pick<Indexes, 'write'>;
  readonly lane: Pick<Lane, 'live'>;
  readonly health: Pick<LiveHealth, 'failed'> | undefined;
  readonly bus: EventPublisher;
  /** Commit times of events whose effects readers can see now. */
  readonly onVisible: (timestamps: readonly string[]) => unknown;
}

/**
 * Keeps the search index (and one that is being built) equal to the catalogue and tells the caches what readers can see now. Safe to call
 * twice with the same events, in any order.
 */
export const followProducts =
  ({ tracker, indexes, lane, health, bus, onVisible }: FollowProductsDeps): BatchHandler<ProductUpdate> =>
  async (events) => {
    const changes = latestProductUpdates(events).map((event) => (event.type === 'delete' ? { sku: event.sku, version: event.version } : toProjected(event.product)));
    const done = await lane.live(() =>
      indexes.write(async (target) => {
        try {
          return await indexProducts({ tracker }, target, changes);
        } catch (error) {
          health?.failed(target.index, error);
          throw error;
        }
      }),
    );
    await announce(bus, done?.accepted ?? []);
    if (done) refuse(done, changes.length);
    onVisible(events.map(({ meta }) => meta.timestamp));
  };
