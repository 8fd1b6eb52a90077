import { latestProductUpdates, productUpdates } from '@millrace/contracts';
import type { ProductUpdate } from '@millrace/contracts';
import { PartialFailureError } from '@millrace/bus';
import type { BatchHandler, EventPublisher } from '@millrace/bus';
import { toProjected } from '@millrace/projection';
import type { Lane, LiveHealth } from '@millrace/projection';
import { announce } from './announce.ts';
import type { Collections } from './collections.ts';
import { embedProducts } from './embed-products.ts';

export interface FollowProductsDeps {
  readonly collections: Pick<Collections, 'write'>;
  readonly lane: Pick<Lane, 'live'>;
  readonly health: Pick<LiveHealth, 'failed'> | undefined;
  readonly bus: EventPublisher;
  /** Commit times of events whose effects readers can see now. */
  readonly onVisible: (timestamps: readonly string[]) => unknown;
}

/**
 * Keeps the live collection (and a collection that is being built) equal to the catalogue and tells the caches what readers can see now. Safe
 * to call twice with the same events, in any order.
 * @throws PartialFailureError where the model does not answer: names the last change of each product that waits for it, all others are done
 */
export const followProducts =
  ({ collections, lane, health, bus, onVisible }: FollowProductsDeps): BatchHandler<ProductUpdate> =>
  async (events) => {
    const latest = latestProductUpdates(events);
    const changes = latest.map((event) => (event.type === 'delete' ? { sku: event.sku, version: event.version } : toProjected(event.product)));
    const outcome = await lane.live(() =>
      collections.write(async (target) => {
        try {
          return await embedProducts(target, changes);
        } catch (error) {
          health?.failed(target.collection, error);
          throw error;
        }
      }),
    );
    await announce(bus, outcome?.changed ?? []);
    const waiting = new Set(latest.filter((event) => outcome?.waiting?.skus.has(productUpdates.options.keyOf(event))));
    onVisible(events.filter((event) => !waiting.has(event)).map(({ meta }) => meta.timestamp));
    if (waiting.size > 0) throw new PartialFailureError(new Map([...waiting].map(({ meta }) => [meta.streamId ?? '', outcome?.waiting?.error])));
  };
