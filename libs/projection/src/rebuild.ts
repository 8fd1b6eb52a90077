import { untilDone } from '@millrace/service';
import type { ProjectedChange, ReadExport } from './export-reader.ts';

export interface RebuildDeps {
  readonly readExport: ReadExport;
  readonly batchSize: number;
  /** Writes into the new store; guarded by version, so overlap with live changes is harmless. */
  readonly fill: (changes: readonly ProjectedChange[]) => Promise<void>;
  /** Makes the new store live. */
  readonly swap: () => Promise<void>;
  readonly onProgress?: (rows: number) => void;
  readonly signal?: AbortSignal;
  /** The pass after the swap failed and will be tried again. */
  readonly onLatePassFailure?: (error: unknown) => void;
}

/** Fewer changes than this since the last pass are left to the pass after the swap. */
const SMALL = 200;
const MAX_CATCH_UPS = 20;

/**
 * Builds a store beside the live one and swaps: the whole export, then what changed meanwhile until little is left, the swap, and once more
 * what changed: whatever another instance still wrote into the old store is in Postgres, hence in that last pass.
 */
export async function rebuildBeside({ readExport, batchSize, fill, swap, onProgress, signal, onLatePassFailure }: RebuildDeps): Promise<{ rows: number }> {
  let rows = 0;
  const pass = async (updatedSince?: string): Promise<{ watermark: string; rows: number }> =>
    readExport({ batchSize, ...(updatedSince !== undefined && { updatedSince }), ...(signal && { signal }) }, async (changes) => {
      await fill(changes);
      rows += changes.length;
      onProgress?.(rows);
    });
  let last = await pass();
  for (let i = 0; i < MAX_CATCH_UPS; i += 1) {
    last = await pass(last.watermark);
    if (last.rows < SMALL) break;
  }
  await swap();
  // The swap is done and cannot be taken back: this pass is repeated until it succeeds.
  await untilDone(() => pass(last.watermark), { signal: signal ?? new AbortController().signal, onFailure: onLatePassFailure ?? (() => undefined) });
  return { rows };
}
