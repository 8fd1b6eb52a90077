import type { ReadExport } from '@millrace/projection';
import type { SearchAdmin } from '@millrace/search';
import type { EventPublisher } from '@millrace/bus';
import type { Logger } from '@millrace/service';
import { announce } from './announce.ts';
import { indexProducts, report } from './index-products.ts';
import type { Target } from './index-products.ts';
import type { Indexes } from './indexes.ts';
import type { SyncTracker } from './sync-tracker.ts';

export interface FillLiveDeps {
  readonly admin: Pick<SearchAdmin, 'liveIndex' | 'ping'>;
  readonly indexes: Indexes;
  readonly tracker: SyncTracker;
  readonly readExport: ReadExport;
  readonly bus: EventPublisher;
  readonly logger: Pick<Logger, 'warn'>;
  /** Builds the first index; undefined where another instance is at it. */
  readonly build: () => Promise<unknown>;
}

const BATCH = 1_000;

/**
 * The bootstrap of a new or empty projection (I5): builds the first index, or, where there is one, brings in what the tracker does not know.
 * Versions make the overlap with the stream harmless. Undefined: not yet, another instance is building.
 */
export async function fillLive({ admin, indexes, tracker, readExport, bus, logger, build }: FillLiveDeps, signal: AbortSignal): Promise<true | undefined> {
  const target = await openLive(admin, indexes, logger);
  if (!target) return (await build()) === undefined ? undefined : true;
  await readExport({ batchSize: BATCH, signal }, async (changes) => {
    const missing = await tracker.unsynced(target.index, changes);
    if (missing.length === 0) return;
    const done = await indexProducts({ tracker }, target, missing);
    report(done, logger);
    await announce(bus, done.accepted);
  });
  return true;
}

/** Undefined: there is none, or it cannot be opened (missing, damaged, of another format) although the engine is there. Then a new one is built. */
async function openLive(admin: FillLiveDeps['admin'], indexes: Indexes, logger: FillLiveDeps['logger']): Promise<Target | undefined> {
  await admin.ping();
  const name = await admin.liveIndex();
  if (name === undefined) return undefined;
  try {
    return await indexes.live();
  } catch (err) {
    logger.warn({ err, index: name }, 'the live index cannot be opened: building another one');
    return undefined;
  }
}
