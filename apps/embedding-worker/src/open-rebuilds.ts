import type { EventPublisher } from '@millrace/bus';
import type { OpenRemoteEmbedder } from '@millrace/embedding';
import { createLane, createRebuildJournal, createRebuilds } from '@millrace/projection';
import type { Lane, LiveHealth, Rebuilds, RebuildsDeps } from '@millrace/projection';
import { vectorStoreOf } from '@millrace/service';
import type { VectorAdmin } from '@millrace/vectors';
import { createCollections } from './collections.ts';
import type { Collections } from './collections.ts';
import type { Config } from './config.ts';
import type { EmbeddingDb } from './database.ts';
import { createFitDue } from './fit-due.ts';
import { fitModel } from './fit-model.ts';
import { msSinceLastFit, recordFit } from './fit.repository.ts';
import { definitionOf } from './model-definition.ts';
import { createVectorReuse } from './reuse-vectors.ts';
import { createVectorStore, vectorHealth } from './vector-store.ts';

export interface OpenRebuildsDeps extends Pick<RebuildsDeps, 'readExport' | 'source' | 'asLeader' | 'logger' | 'metrics'> {
  readonly config: Config;
  readonly admin: VectorAdmin;
  readonly bus: EventPublisher;
  readonly db: EmbeddingDb;
  readonly openRemote: OpenRemoteEmbedder;
  /** The consumer group's backlog. */
  readonly lag: () => Promise<{ readonly messages: number }>;
}

/** What belongs together while a collection is built beside the live one. */
export interface OpenRebuilds { readonly rebuilds: Rebuilds; readonly collections: Collections; readonly lane: Lane; readonly health: LiveHealth | undefined; close(): Promise<void> }

/** A slice blocks this process while it is embedded and, in the embedded store, written. */
const SLICES = { idleRows: 500, busyRows: 50 };
const BATCH_ROWS = 1_000;

export function openRebuilds({ config, admin, bus, db, openRemote, lag, logger, readExport, ...shared }: OpenRebuildsDeps): OpenRebuilds {
  const definition = definitionOf(config);
  const reuse = createVectorReuse(admin);
  const minProducts = config.MODEL_FIT_MIN_PRODUCTS;
  const health = vectorStoreOf(config) === 'embedded' ? vectorHealth(admin) : undefined;
  const lane = createLane(SLICES);
  const collections: Collections = createCollections({ admin, building: () => rebuilds.building(), openRemote, logger });
  const due = createFitDue({ admin, health, definition, lag, everyMs: config.MODEL_CHECK_INTERVAL_MS, policy: { minProducts, minIntervalMs: config.MODEL_FIT_INTERVAL_MS }, msSinceLastFit: () => msSinceLastFit(db) });
  const store = createVectorStore({
    admin, collections, bus, definition, reuse, due,
    fit: (signal) => fitModel({ readExport, definition, minProducts }, signal),
    record: (fit) => recordFit(db, fit),
  });
  const rebuilds: Rebuilds = createRebuilds({ ...shared, readExport, logger, store, lane, journal: createRebuildJournal(db, 'embedding'), batchSize: BATCH_ROWS, everyMs: config.REBUILD_CHECK_MS, keepHours: config.REBUILD_KEEP_HOURS });
  const close = async (): Promise<void> => {
    await rebuilds.close();
    await reuse.close();
    await collections.close();
  };
  return { rebuilds, collections, lane, health, close };
}
