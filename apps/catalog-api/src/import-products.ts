import type { ImportLine, ImportReport } from '@millrace/contracts';
import { AppError } from '@millrace/service';
import { BrokenUploadError } from './import-rows.ts';
import type { ImportRow } from './import-rows.ts';
import type { ImportCounts, ImportProduct } from './import.repository.ts';
import type { MappedRow } from './map-row.ts';

const BATCH_ROWS = 1_000;
/** So that memory is bounded whatever the rows weigh. */
const BATCH_CHARACTERS = 8_388_608;
const PROGRESS_EVERY_MS = 500;

export interface ImportPorts {
  readonly mapRow: (record: Readonly<Record<string, unknown>>) => MappedRow;
  readonly findUnknownMerchants: (ids: readonly number[]) => Promise<ReadonlySet<number>>;
  /** Writes (or, in a dry run, compares) one batch of distinct skus. */
  readonly applyBatch: (products: readonly ImportProduct[]) => Promise<ImportCounts>;
  /** Sends one line of the answer; resolves when there is room for more. */
  readonly emit: (line: ImportLine) => Promise<void>;
  readonly bytesRead: () => number;
}

export interface PendingRow { readonly line: number; readonly product: ImportProduct; readonly characters: number }

interface Totals { rows: number; created: number; updated: number; unchanged: number; failed: number; lastGoodLine: number | null }
export const emptyTotals = (): Totals => ({ rows: 0, created: 0, updated: 0, unchanged: 0, failed: 0, lastGoodLine: null });

/** A row that no schema foresaw is a bad row, too: the file goes on. */
function mapSafely(mapRow: ImportPorts['mapRow'], record: Readonly<Record<string, unknown>>): MappedRow {
  try {
    return mapRow(record);
  } catch (error) {
    return { problem: { code: 'malformed_row', pointer: '', detail: `cannot be read: ${messageOf(error).slice(0, 200)}`, sku: null } };
  }
}

/** Rows that parse, map and name a known merchant, in order; the others are counted and reported one by one. */
export async function* goodRows(rows: AsyncIterable<ImportRow>, ports: Pick<ImportPorts, 'mapRow' | 'findUnknownMerchants' | 'emit'>, totals: Totals): AsyncGenerator<PendingRow> {
  const merchants = new Map<number, boolean>([[1, true]]);
  const fail = async (line: number, problem: { code: string; pointer?: string; detail: string; sku?: string | null }): Promise<void> => {
    totals.failed += 1;
    await ports.emit({ type: 'error', line, sku: problem.sku ?? null, code: problem.code, pointer: problem.pointer ?? '', detail: problem.detail });
  };
  for await (const row of rows) {
    totals.rows += 1;
    if ('problem' in row) {
      await fail(row.line, row.problem);
      continue;
    }
    const mapped = mapSafely(ports.mapRow, row.record);
    if ('problem' in mapped) {
      await fail(row.line, mapped.problem);
      continue;
    }
    const { merchant_id: merchantId, sku } = mapped.product;
    if (!merchants.has(merchantId)) merchants.set(merchantId, (await ports.findUnknownMerchants([merchantId])).size === 0);
    if (merchants.get(merchantId) === true) yield { line: row.line, product: mapped.product, characters: row.characters };
    else await fail(row.line, { code: 'invalid_row', pointer: '/merchant_id', detail: `names the merchant ${merchantId}, which does not exist`, sku });
  }
}

/** Upserts the rows in batches, each a transaction of its own. When the file breaks off, what came before stays and the report says so. */
export async function importInBatches(rows: AsyncIterable<ImportRow>, ports: ImportPorts): Promise<{ totals: Totals; error: string | null }> {
  const totals = emptyTotals();
  let batch = new Map<string, PendingRow>();
  let characters = 0;
  let progressAt = performance.now() + PROGRESS_EVERY_MS;
  const flush = async (): Promise<void> => {
    if (batch.size === 0) return;
    const pending = [...batch.values()];
    batch = new Map();
    characters = 0;
    const counts = await ports.applyBatch(pending.map((row) => row.product));
    totals.created += counts.created;
    totals.updated += counts.updated;
    totals.unchanged += counts.unchanged;
    totals.lastGoodLine = pending.at(-1)?.line ?? totals.lastGoodLine;
    if (performance.now() < progressAt) return;
    progressAt = performance.now() + PROGRESS_EVERY_MS;
    const { lastGoodLine: _lastGoodLine, ...progress } = totals;
    await ports.emit({ type: 'progress', ...progress, bytes: ports.bytesRead() });
  };
  try {
    for await (const row of goodRows(rows, ports, totals)) {
      // A sku that comes twice in a file: the later line wins, as if the file were applied line by line.
      if (batch.has(row.product.sku) || batch.size >= BATCH_ROWS || characters > BATCH_CHARACTERS) await flush();
      batch.set(row.product.sku, row);
      characters += row.characters;
    }
    await flush();
    return { totals, error: null };
  } catch (error) {
    if (error instanceof AppError) throw error;
    if (!isBrokenFile(error)) throw error;
    await flush();
    return { totals, error: `the file breaks off: ${messageOf(error)}; the rows up to line ${totals.lastGoodLine ?? 0} were read` };
  }
}

const messageOf = (error: unknown): string => (typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string' ? error.message : 'it cannot be read');

/** The connection's, zlib's and csv-parse's errors: the upload is damaged, not we. */
export function isBrokenFile(error: unknown): boolean {
  if (error instanceof BrokenUploadError) return true;
  const code = typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : '';
  return code.startsWith('Z_') || code.startsWith('CSV_');
}

/** The last line of an import's answer. */
export function toReport(totals: Totals, rest: Pick<ImportReport, 'dry_run' | 'atomic' | 'committed' | 'error' | 'seconds'>): ImportReport {
  const { lastGoodLine, ...counts } = totals;
  return { ...counts, last_good_line: lastGoodLine, ...rest };
}
