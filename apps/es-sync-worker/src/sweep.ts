import type { ProjectedChange, ReadExport } from '@millrace/projection';
import type { EventPublisher } from '@millrace/bus';
import type { Logger } from '@millrace/service';
import { announce } from './announce.ts';
import { indexProducts, report } from './index-products.ts';
import type { Target } from './index-products.ts';
import type { CompletedSweep } from './sweep.repository.ts';
import type { SyncTracker } from './sync-tracker.ts';

export interface SweepDeps {
  readonly readExport: ReadExport;
  readonly tracker: SyncTracker;
  readonly bus: EventPublisher;
  readonly logger: Pick<Logger, 'warn'>;
  readonly findLastSweep: (index: string) => Promise<CompletedSweep | undefined>;
  readonly recordSweep: (sweep: CompletedSweep) => Promise<void>;
  readonly overlapMs: number;
  /** Rows that are indexed at once. */
  readonly batchRows: number;
}

/** Milliseconds earlier, microseconds kept away: earlier is always safe. */
const earlier = (timestamp: string, ms: number): string => new Date(Date.parse(timestamp) - ms).toISOString();

/**
 * Indexes what changed since the last completed sweep (minus the overlap) and the tracker lacks: what the stream, a crash or an
 * operator may have lost. A document that the index refuses is named and tried again by the next sweep that reads it; the others do not wait
 * for it. Bounded memory; rows read are bounded by the change.
 */
export async function sweep({ readExport, tracker, bus, logger, findLastSweep, recordSweep, overlapMs, batchRows }: SweepDeps, target: Target, signal?: AbortSignal): Promise<CompletedSweep> {
  const startedAt = new Date().toISOString();
  const last = await findLastSweep(target.index);
  let indexed = 0;
  const bring = async (changes: readonly ProjectedChange[]): Promise<void> => {
    const missing = await tracker.unsynced(target.index, changes);
    if (missing.length === 0) return;
    const done = await indexProducts({ tracker }, target, missing);
    report(done, logger);
    await announce(bus, done.accepted);
    indexed += done.accepted.length;
  };
  // One batch is indexed while the next is read. What fails fails the sweep, which is not recorded then, and begins again where it began.
  let inHand = Promise.resolve();
  const { watermark, rows } = await readExport({ batchSize: batchRows, ...(last && { updatedSince: earlier(last.watermark, overlapMs) }), ...(signal && { signal }) }, async (changes) => {
    await inHand;
    inHand = bring(changes);
    inHand.catch(() => undefined);
  }).catch(async (error: unknown) => {
    // Nothing of a sweep goes on once it has failed: another instance may lead by then.
    await inHand.catch(() => undefined);
    throw error;
  });
  await inHand;
  const completed = { index: target.index, watermark, startedAt, finishedAt: new Date().toISOString(), seen: rows, indexed };
  await recordSweep(completed);
  return completed;
}
