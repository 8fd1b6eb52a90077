import { rebuildBeside } from '@millrace/projection';
import type { ReadExport } from '@millrace/projection';
import type { SearchAdmin } from '@millrace/search';
import type { Logger } from '@millrace/service';
import { indexProducts, report } from './index-products.ts';
import type { Indexes } from './indexes.ts';
import type { SyncTracker } from './sync-tracker.ts';

export interface ResyncDeps {
  readonly readExport: ReadExport;
  readonly admin: SearchAdmin;
  readonly indexes: Indexes;
  readonly tracker: SyncTracker;
  readonly logger: Pick<Logger, 'warn'>;
  /** The sweeps of an index that is gone. */
  readonly forgetSweepsOf: (index: string) => Promise<void>;
  readonly onProgress?: (rows: number) => void;
}

const BATCH = 1_000;

/** Builds a new index beside the live one and makes it live; live changes go to both meanwhile. The one before is kept. One instance at a time. */
export async function resync({ readExport, admin, indexes, tracker, logger, forgetSweepsOf, onProgress }: ResyncDeps, signal?: AbortSignal): Promise<{ index: string; rows: number }> {
  const previous = await admin.liveIndex();
  const index = await admin.createIndex();
  const target = await indexes.open(index);
  indexes.building(target);
  try {
    const { rows } = await rebuildBeside({
      readExport, batchSize: BATCH, ...(onProgress && { onProgress }), ...(signal && { signal }),
      onLatePassFailure: (err) => logger.warn({ err, index }, 'the last pass of a rebuild failed, it is tried again'),
      fill: async (changes) => report(await indexProducts({ tracker }, target, changes), logger),
      swap: () => admin.swapTo(index),
    });
    for (const dropped of await admin.dropOthers(previous === undefined ? [] : [previous])) {
      await tracker.clear(dropped);
      await forgetSweepsOf(dropped);
    }
    return { index, rows };
  } catch (error) {
    // A failed build leaves nothing behind; where it is live already, the next sweep goes on with it.
    indexes.building(undefined);
    if ((await admin.liveIndex()) === index) throw error;
    await target.writer.close();
    await admin.dropIndex(index).catch((err: unknown) => logger.warn({ err, index }, 'an unfinished index could not be removed'));
    throw error;
  } finally {
    await indexes.targets();
    indexes.building(undefined);
  }
}
