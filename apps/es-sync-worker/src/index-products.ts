import { SinkUnavailableError } from '@millrace/bus';
import type { ProjectedChange } from '@millrace/projection';
import type { ChangeResult, SearchWriter } from '@millrace/search';
import type { SyncTracker } from './sync-tracker.ts';

/** A physical index that is written now. */
export interface Target { readonly index: string; readonly writer: SearchWriter }

export interface IndexProductsDeps {
  readonly tracker: Pick<SyncTracker, 'markSynced'>;
}

/** Some documents were refused by the index; the others are in. */
export class DocumentsRefusedError extends Error {
  override readonly name = 'DocumentsRefusedError';
}

/**
 * Brings one index to the given states, one per sku, and records what the index confirmed, item by item. Safe to call twice with the same
 * changes, in any order: every write is guarded by version. Resolves when readers can see it.
 */
export async function indexProducts({ tracker }: IndexProductsDeps, { index, writer }: Target, changes: readonly ProjectedChange[]): Promise<readonly ChangeResult[]> {
  const results = await writer.apply(changes);
  await tracker.markSynced(index, results.filter((result) => result.outcome !== 'failed'));
  const failed = results.filter((result) => result.outcome === 'failed');
  if (failed.length === changes.length && failed.length > 1) throw new SinkUnavailableError(`all ${failed.length} documents were refused: ${failed[0]?.reason ?? 'unknown reason'}`);
  if (failed.length > 0) throw new DocumentsRefusedError(`${failed.length} of ${changes.length} documents were refused: ${failed[0]?.reason ?? 'unknown reason'}`);
  return results;
}
