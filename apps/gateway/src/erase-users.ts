import { hostname } from 'node:os';
import { SinkUnavailableError, withMetrics, withTracing } from '@millrace/bus';
import type { BatchHandler, EventBus, EventPublisher } from '@millrace/bus';
import { erasureReceipts, userErasures } from '@millrace/contracts';
import type { UserErasure } from '@millrace/contracts';
import type { Registry } from 'prom-client';

/** A store with data of shoppers, as `userStores` of the contracts names it. */
export interface UserStore {
  readonly store: string;
  /** Removes what is a user's, under whichever key; how much there was. Safe to repeat. */
  readonly erase: (user: string) => Promise<number>;
}

/** Erases users from all of these stores, and answers with one receipt. Safe to repeat. */
export const eraseUsers =
  ({ stores, bus }: { readonly stores: readonly UserStore[]; readonly bus: EventPublisher }): BatchHandler<UserErasure> =>
  async (events) => {
    for (const { job, attempt, users } of events) {
      try {
        const erased = [];
        for (const { store, erase } of stores) {
          let found = 0;
          for (const user of users) found += await erase(user);
          erased.push({ store, found, erased: found, due: 0 });
        }
        await bus.publish(erasureReceipts, [{ type: 'erased', job, attempt, service: 'gateway', stores: erased }]);
      } catch (error) {
        throw new SinkUnavailableError('what is kept of users cannot be erased now', { cause: error });
      }
    }
  };

const GROUP = 'gateway';

export interface FollowErasuresDeps {
  readonly bus: EventBus;
  readonly metrics: Registry;
  /** Tells instances of one host apart. */
  readonly port: number;
  readonly stores: readonly UserStore[];
}

/** Needs no Redis to start. */
export async function followErasures({ bus, metrics, port, stores }: FollowErasuresDeps): Promise<void> {
  const labels = { topic: userErasures.name, group: GROUP };
  const handle = withTracing(labels)(withMetrics({ registry: metrics, ...labels })(eraseUsers({ stores, bus })));
  await bus.subscribe(userErasures, { group: 'gateway', consumer: `${hostname()}:${port}` }, handle);
}
