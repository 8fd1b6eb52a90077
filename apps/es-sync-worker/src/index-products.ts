import type { ProjectedChange } from '@millrace/projection';
import type { ChangeResult, SearchWriter } from '@millrace/search';
import type { Logger } from '@millrace/service';
import type { SyncTracker } from './sync-tracker.ts';

/** A physical index that is written now. */
export interface Target { readonly index: string; readonly writer: SearchWriter }

export interface IndexProductsDeps {
  readonly tracker: Pick<SyncTracker, 'markSynced'>;
}

/** Some documents were refused by the index; the others are in. Refused for what they are: an engine that takes nothing rejects as a whole. */
export class DocumentsRefusedError extends Error {
  override readonly name = 'DocumentsRefusedError';
  /** The bus parks it at once: the same document would be refused again. */
  readonly code = 'final';
}

/** What went in (or was there already), and what the index refused. */
export interface Indexed {
  readonly accepted: readonly ChangeResult[];
  readonly refused: readonly ChangeResult[];
}

/**
 * Brings one index to the given states, one per sku, and records what the index confirmed, item by item. Safe to call twice with the same
 * changes, in any order: every write is guarded by version. Resolves when readers can see it.
 */
export async function indexProducts({ tracker }: IndexProductsDeps, { index, writer }: Target, changes: readonly ProjectedChange[]): Promise<Indexed> {
  const results = await writer.apply(changes);
  const accepted = results.filter((result) => result.outcome !== 'failed');
  await tracker.markSynced(index, accepted);
  return { accepted, refused: results.filter((result) => result.outcome === 'failed') };
}

/** The event's way: one refused document rejects, so that the bus tries its entry alone and parks it. */
export function refuse({ refused }: Indexed, of: number): void {
  if (refused.length > 0) throw new DocumentsRefusedError(`${refused.length} of ${of} documents were refused: ${refused[0]?.reason ?? 'unknown reason'}`);
}

/** The way of sweeps and rebuilds: a refused document is named and left out, the others must not wait for it. */
export function report({ refused }: Indexed, logger: Pick<Logger, 'warn'>): void {
  for (const { sku, version, reason } of refused.slice(0, 10)) logger.warn({ sku, version, reason }, 'document refused by the search index');
  if (refused.length > 10) logger.warn({ more: refused.length - 10 }, 'more documents were refused');
}
