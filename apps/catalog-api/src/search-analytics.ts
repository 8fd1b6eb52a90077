import { withMetrics, withTracing } from '@millrace/bus';
import type { ManagedBus } from '@millrace/bus';
import { searches, userErasures } from '@millrace/contracts';
import { createPseudonym, every } from '@millrace/service';
import type { Logger } from '@millrace/service';
import type { Registry } from 'prom-client';
import { SEARCH_COUNTS_GROUP, countSearches } from './count-searches.ts';
import type { CatalogDb } from './database.ts';
import { eraseSearches } from './erase-searches.ts';
import { createSearchLog } from './search-log.ts';
import type { SearchLog } from './search-log.ts';

export interface SearchAnalyticsDeps {
  readonly db: CatalogDb;
  readonly bus: ManagedBus;
  /** Name in the group: another one for each running instance, the same after a restart. */
  readonly consumer: string;
  /** Without one, the log has no users. */
  readonly pseudonymSecret: string | undefined;
  /** One instance trims. */
  readonly isLeading: () => boolean;
  readonly logger: Logger;
  readonly metrics: Registry;
}

const TRIM_EVERY_MS = 10_000;

/** The search log, the counting of what it holds, and its trimming: what every group has acknowledged goes within ten seconds. Needs no Redis to start. */
export async function startSearchAnalytics({ db, bus, consumer, pseudonymSecret, isLeading, logger, metrics }: SearchAnalyticsDeps): Promise<SearchLog> {
  const pseudonym = pseudonymSecret === undefined ? undefined : createPseudonym(pseudonymSecret);
  const log = createSearchLog({ bus, pseudonym, logger, metrics });
  const labels = { topic: searches.name, group: SEARCH_COUNTS_GROUP };
  const subscription = await bus.subscribe(searches, { group: SEARCH_COUNTS_GROUP, consumer, batchSize: 500 }, withTracing(labels)(withMetrics({ registry: metrics, ...labels })(countSearches(db))));
  const erasing = await bus.subscribe(userErasures, { group: 'catalog-api', consumer }, eraseSearches({ bus, pseudonym }));
  const stopTrimming = every(TRIM_EVERY_MS, { what: 'search log', logger }, async () => {
    if (isLeading()) await bus.trimAcknowledged(searches, { keep: 0 });
  });
  return {
    record: log.record,
    close: async () => {
      stopTrimming();
      await log.close();
      await subscription.close();
      await erasing.close();
    },
  };
}
