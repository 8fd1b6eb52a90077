import type { ReadExport } from '@millrace/projection';
import type { SearchAdmin } from '@millrace/search';
import type { EventPublisher } from '@millrace/bus';
import type { Logger } from '@millrace/service';
import { announce } from './announce.ts';
import { indexProducts, report } from './index-products.ts';
import type { Indexes } from './indexes.ts';
import type { SyncTracker } from './sync-tracker.ts';

export interface FillLiveDeps {
  readonly admin: Pick<SearchAdmin, 'liveIndex' | 'ping' | 'count'>;
  readonly indexes: Pick<Indexes, 'withLive'>;
  readonly tracker: SyncTracker;
  readonly readExport: ReadExport;
  readonly bus: EventPublisher;
  readonly logger: Pick<Logger, 'warn'>;
  /** Looks for a rebuild that is due and works on it, unless another instance does. */
  readonly rebuild: () => Promise<void>;
}

const BATCH = 1_000;

/**
 * The bootstrap of a new or empty projection (I5): has the first index built, or, where there is one, brings in what the tracker does not know.
 * Versions make the overlap with the stream harmless. Undefined: not yet, there is no index that can be opened.
 */
export async function fillLive({ admin, indexes, tracker, readExport, bus, logger, rebuild }: FillLiveDeps, signal: AbortSignal): Promise<true | undefined> {
  const canOpen = async (): Promise<boolean> => {
    const name = await admin.liveIndex();
    return name !== undefined && admin.count(name).then(() => true, () => false);
  };
  await admin.ping();
  if (!(await canOpen())) {
    await rebuild();
    return (await canOpen()) ? true : undefined;
  }
  await readExport({ batchSize: BATCH, signal }, async (changes) => {
    await indexes.withLive(async (target) => {
      const missing = await tracker.unsynced(target.index, changes);
      if (missing.length === 0) return;
      const done = await indexProducts({ tracker }, target, missing);
      report(done, logger);
      await announce(bus, done.accepted);
    });
  });
  return true;
}
