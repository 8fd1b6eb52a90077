import { createLiveHealth } from '@millrace/projection';
import type { LiveHealth, RebuildStore, VersionSource } from '@millrace/projection';
import type { EventPublisher } from '@millrace/bus';
import { indexUpdates } from '@millrace/contracts';
import type { RebuildReason } from '@millrace/contracts';
import type { SearchAdmin } from '@millrace/search';
import type { Logger } from '@millrace/service';
import { askGolden } from './golden-queries.ts';
import type { GoldenQuery } from './golden-queries.ts';
import { indexProducts, report } from './index-products.ts';
import type { Indexes } from './indexes.ts';
import type { SyncTracker } from './sync-tracker.ts';

export interface SearchStoreDeps {
  readonly admin: SearchAdmin;
  readonly indexes: Indexes;
  readonly tracker: Pick<SyncTracker, 'markSynced' | 'clear'>;
  readonly bus: EventPublisher;
  readonly logger: Pick<Logger, 'warn'>;
  /** undefined: the engine is a server, which says itself when an index is gone. */
  readonly health: LiveHealth | undefined;
  readonly goldenQueries: readonly GoldenQuery[];
  readonly source: Pick<VersionSource, 'states'>;
  /** The sweeps of an index that is gone. */
  readonly forgetSweepsOf: (index: string) => Promise<void>;
}

/** Of an embedded index. */
export const searchHealth = (admin: Pick<SearchAdmin, 'definitionHashOf' | 'count'>): LiveHealth =>
  createLiveHealth({ look: (index) => admin.definitionHashOf(index), lookDeeper: (index) => admin.count(index) });

async function dueOf({ admin, health }: Pick<SearchStoreDeps, 'admin' | 'health'>): Promise<RebuildReason | undefined> {
  await admin.ping();
  const live = await admin.liveIndex();
  if (live === undefined) return 'first';
  if (await health?.isLost(live)) return 'repair';
  return (await admin.definitionHashOf(live)) === admin.definitionHash ? undefined : 'definition';
}

/** The search index as rebuild jobs see it. */
export function createSearchStore(deps: SearchStoreDeps): RebuildStore {
  const { admin, indexes, tracker, bus, logger, health, goldenQueries, source, forgetSweepsOf } = deps;
  const canOpen = (index: string): Promise<boolean> => admin.count(index).then(() => true, () => false);
  const forget = async (index: string): Promise<void> => {
    await tracker.clear(index);
    await forgetSweepsOf(index);
  };
  return {
    name: 'search',
    live: () => admin.liveIndex(),
    due: () => dueOf(deps),
    canResume: async (index) => {
      await admin.ping();
      return (await canOpen(index)) && (await admin.definitionHashOf(index)) === admin.definitionHash;
    },
    isThere: async (index) => {
      await admin.ping();
      return canOpen(index);
    },
    create: () => admin.createIndex(),
    fill: async (index, changes) => {
      const done = await indexes.withOne(index, (target) => indexProducts({ tracker }, target, changes));
      report(done, logger);
      return done.refused.map(({ sku }) => sku);
    },
    versions: (index) => ({ readVersions: (ranges, signal) => admin.readVersions(index, ranges, signal), versionsOf: (skus) => admin.versionsOf(index, skus) }),
    ask: async (target, live) => askGolden({ admin, source }, { target, live: live !== undefined && !(await health?.isLost(live)) ? live : undefined, queries: goldenQueries }),
    swap: (index) => admin.swapTo(index),
    swapped: async (index) => {
      await indexes.withLive(async () => undefined); // closes the one before
      await bus.publish(indexUpdates, [{ type: 'swapped', store: 'search', index, all: true }]);
    },
    drop: async (index) => {
      await indexes.reopen(index);
      await admin.dropIndex(index);
      await forget(index);
    },
    dropOthers: async (keep) => {
      for (const dropped of await admin.dropOthers(keep)) await forget(dropped);
    },
  };
}
