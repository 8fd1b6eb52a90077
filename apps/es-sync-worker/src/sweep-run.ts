import type { EventPublisher } from '@millrace/bus';
import type { ReadExport } from '@millrace/projection';
import type { SearchAdmin } from '@millrace/search';
import type { Logger } from '@millrace/service';
import type { SearchDb } from './database.ts';
import type { Indexes } from './indexes.ts';
import { findLastSweep, recordSweep } from './sweep.repository.ts';
import { sweep } from './sweep.ts';
import type { SyncTracker } from './sync-tracker.ts';

export interface SweepRunDeps {
  readonly readExport: ReadExport;
  readonly tracker: SyncTracker;
  readonly indexes: Pick<Indexes, 'withLive'>;
  readonly admin: Pick<SearchAdmin, 'purgeTombstones'>;
  readonly db: SearchDb;
  readonly bus: EventPublisher;
  readonly logger: Logger;
  readonly overlapMs: number;
  readonly batchRows: number;
  readonly asLeader: <T>(work: (lost: AbortSignal) => Promise<T>) => Promise<{ readonly result: T } | undefined>;
  readonly signal: AbortSignal;
}

/** Rows that a sweep indexes at once. Elasticsearch makes each batch visible by a refresh. */
export const SWEEP_ROWS = { embedded: 1_000, elasticsearch: 5_000 };

const TOMBSTONE_DAYS = 30;

/** One scheduled sweep of the live index, on one instance at a time; old tombstones go with it. */
export const createSweepRun =
  ({ readExport, tracker, indexes, admin, db, bus, logger, overlapMs, batchRows, asLeader, signal }: SweepRunDeps) =>
  async (): Promise<void> => {
    await asLeader(async (lost) => {
      const ports = { readExport, tracker, bus, logger, overlapMs, batchRows, findLastSweep: (index: string) => findLastSweep(db, index), recordSweep: (done: Parameters<typeof recordSweep>[1]) => recordSweep(db, done) };
      const done = await indexes.withLive((target) => sweep(ports, target, AbortSignal.any([signal, lost])));
      if (!done) return;
      const { seen, indexed } = done;
      if (indexed > 0) logger.info({ seen, indexed }, 'sweep found what the stream had not brought');
      await admin.purgeTombstones(TOMBSTONE_DAYS);
    });
  };
