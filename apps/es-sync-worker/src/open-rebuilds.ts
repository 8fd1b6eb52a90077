import type { EventPublisher } from '@millrace/bus';
import { createLane, createRebuildJournal, createRebuilds } from '@millrace/projection';
import type { Lane, LiveHealth, Rebuilds, RebuildsDeps } from '@millrace/projection';
import type { SearchAdmin } from '@millrace/search';
import { searchEngineOf } from '@millrace/service';
import type { Config } from './config.ts';
import type { SearchDb } from './database.ts';
import { readGoldenQueries } from './golden-queries.ts';
import { createIndexes } from './indexes.ts';
import type { Indexes } from './indexes.ts';
import { createSearchStore, searchHealth } from './search-store.ts';
import { forgetSweepsOf } from './sweep.repository.ts';
import type { SyncTracker } from './sync-tracker.ts';

export interface OpenRebuildsDeps extends Pick<RebuildsDeps, 'readExport' | 'source' | 'asLeader' | 'logger' | 'metrics'> {
  readonly config: Pick<Config, 'REBUILD_KEEP_HOURS' | 'REBUILD_CHECK_MS' | 'GOLDEN_QUERIES_FILE' | 'SEARCH_ENGINE' | 'ELASTICSEARCH_URL'>;
  readonly admin: SearchAdmin;
  readonly tracker: SyncTracker;
  readonly bus: EventPublisher;
  readonly db: SearchDb;
}

/** What belongs together while an index is built beside the live one. Close `rebuilds`, then `indexes`. */
export interface OpenRebuilds { readonly rebuilds: Rebuilds; readonly indexes: Indexes; readonly lane: Lane; readonly health: LiveHealth | undefined }

/** Slices of the backfill. Embedded: a slice blocks this process while it is written. Elasticsearch: each is made visible by a refresh, so that large ones cost less. */
const SLICES = { embedded: { idleRows: 1_000, busyRows: 50 }, elasticsearch: { idleRows: 2_500, busyRows: 500 } };
const BATCH_ROWS = { embedded: 1_000, elasticsearch: 2_500 };

/** @throws where the golden queries cannot be read */
export async function openRebuilds({ config, admin, tracker, bus, db, logger, ...shared }: OpenRebuildsDeps): Promise<OpenRebuilds> {
  const engine = searchEngineOf(config);
  const goldenQueries = config.GOLDEN_QUERIES_FILE === undefined ? [] : await readGoldenQueries(config.GOLDEN_QUERIES_FILE);
  const health = engine === 'embedded' ? searchHealth(admin) : undefined;
  const lane = createLane(SLICES[engine]);
  const indexes: Indexes = createIndexes({ admin, building: () => rebuilds.building(), logger });
  const store = createSearchStore({ admin, indexes, tracker, bus, logger, health, goldenQueries, source: shared.source, forgetSweepsOf: (index) => forgetSweepsOf(db, index) });
  const rebuilds: Rebuilds = createRebuilds({ ...shared, logger, store, lane, journal: createRebuildJournal(db, 'search'), batchSize: BATCH_ROWS[engine], everyMs: config.REBUILD_CHECK_MS, keepHours: config.REBUILD_KEEP_HOURS });
  return { rebuilds, indexes, lane, health };
}
