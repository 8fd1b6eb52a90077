import { exportLineSchema } from '@millrace/contracts';
import type { ExportLine, Product } from '@millrace/contracts';
import { setTimeout as delay } from 'node:timers/promises';
import type { IdentitySigner } from '@millrace/service';

/** The wanted state of one sku in a projection. `product` absent = deleted, or not for the public: a tombstone. */
export interface ProjectedChange {
  readonly sku: string;
  readonly version: number;
  readonly product?: Product;
}

/** Only active products are found: drafts, archived and deleted ones are tombstones with a version (I4). */
export const toProjected = (product: Product): ProjectedChange =>
  product.status === 'active' ? { sku: product.sku, version: product.version, product } : { sku: product.sku, version: product.version };

/** Where a read stands: give it back as `from` and it goes on there, in another process too. */
export interface ExportPosition {
  /** Cursor behind the last row that was read; absent = at the beginning. */
  readonly after?: string;
  /** Of the read's first connection: where the next read may begin. */
  readonly watermark?: string;
}

export interface ReadExportOptions {
  /** Rows changed at or after it; all, without it. */
  readonly updatedSince?: string;
  readonly batchSize: number;
  /** Goes on with a read that was cut short; with the `updatedSince` of that one. */
  readonly from?: ExportPosition;
  readonly signal?: AbortSignal;
}

export interface ReadExport {
  /**
   * Every product changed at or after `updatedSince` (all, without it), in batches of at most `batchSize`, by (updated_at, sku), each with
   * the position behind it. Returns the watermark: where the next read may begin without missing anything. A broken connection is taken up again
   * where it broke, up to five times in a row; what `onBatch` rejects with, and answers of 400 to 499, reject at once. `onBatch` is awaited before more is read: bounded memory.
   */
  (options: ReadExportOptions, onBatch: (changes: readonly ProjectedChange[], behind: ExportPosition) => Promise<void>): Promise<{ watermark: string; rows: number }>;
}

export interface ExportReaderDeps {
  /** Second port of catalog-api. */
  readonly baseUrl: string;
  readonly signer: IdentitySigner;
  /** Name of the reading service. */
  readonly service: string;
}

/** Trying again cannot help: the sink rejected, or the export refuses this reader. */
class FinalError extends Error {
  override readonly name = 'FinalError';
}

const RETRIES = 5;
const RETRY_DELAY_MS = 200;
const IDLE_MS = 30_000;

async function* jsonLines(body: AsyncIterable<Uint8Array>): AsyncGenerator<ExportLine> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) yield exportLineSchema.parse(JSON.parse(part));
  }
  if (rest !== '') throw new Error('the export broke off');
}

const toChange = (line: Exclude<ExportLine, { type: 'watermark' }>): ProjectedChange =>
  line.type === 'tombstone' ? { sku: line.sku, version: line.version } : toProjected(line.product);

interface Progress { after: string | undefined; rows: number; watermark: string | undefined }

async function openExport({ baseUrl, signer, service }: ExportReaderDeps, { updatedSince, after, signal }: { readonly updatedSince: string | undefined; readonly after: string | undefined; readonly signal: AbortSignal }): Promise<{ body: AsyncIterable<Uint8Array>; watermark: string | null }> {
  const url = new URL('/internal/products/export', baseUrl);
  if (updatedSince !== undefined) url.searchParams.set('updated_since', updatedSince);
  if (after !== undefined) url.searchParams.set('after', after);
  const token = await signer.sign('catalog-api', { subject: service, scopes: [] });
  const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` }, signal });
  if (answer.status >= 400 && answer.status < 500) throw new FinalError(`the export answered ${answer.status}`);
  if (!answer.ok || !answer.body) throw new Error(`the export answered ${answer.status}`);
  return { body: answer.body, watermark: answer.headers.get('x-watermark') };
}

/** Reads catalog-api's internal export under this service's own identity. */
export function createExportReader(deps: ExportReaderDeps): ReadExport {
  /** One connection. The first one's watermark counts, from its header: a later one's may be past changes that the first one could not see. */
  const readOnce = async ({ updatedSince, batchSize, signal }: Parameters<ReadExport>[0], onBatch: Parameters<ReadExport>[1], progress: Progress): Promise<void> => {
    const stalled = new AbortController();
    let isWriting = false;
    const timer = setInterval(() => void (isWriting || stalled.abort(new Error('the export stalled'))), IDLE_MS);
    const signals = signal ? [signal, stalled.signal] : [stalled.signal];
    let batch: ProjectedChange[] = [];
    let after = progress.after;
    const flush = async (): Promise<void> => {
      isWriting = true;
      if (batch.length > 0) await onBatch(batch, { ...(after !== undefined && { after }), ...(progress.watermark !== undefined && { watermark: progress.watermark }) }).catch((error: unknown) => { throw new FinalError('the batch was refused', { cause: error }); });
      isWriting = false;
      timer.refresh();
      progress.rows += batch.length;
      progress.after = after;
      batch = [];
    };
    try {
      const { body, watermark } = await openExport(deps, { updatedSince, after: progress.after, signal: AbortSignal.any(signals) });
      progress.watermark ??= watermark ?? undefined;
      for await (const line of jsonLines(body)) {
        timer.refresh();
        if (line.type === 'watermark') {
          await flush();
          progress.watermark ??= line.watermark;
          return;
        }
        after = line.after;
        batch.push(toChange(line));
        if (batch.length >= batchSize) await flush();
      }
      throw new Error('the export broke off');
    } finally {
      clearInterval(timer);
    }
  };
  return async (options, onBatch) => {
    const progress: Progress = { after: options.from?.after, rows: 0, watermark: options.from?.watermark };
    for (let failures = 0; ; ) {
      const before = progress.rows;
      try {
        await readOnce(options, onBatch, progress);
        if (progress.watermark === undefined) throw new Error('the export has no watermark');
        return { watermark: progress.watermark, rows: progress.rows };
      } catch (error) {
        failures = progress.rows > before ? 1 : failures + 1;
        if (error instanceof FinalError) throw error.cause ?? error;
        if (failures > RETRIES || options.signal?.aborted === true) throw error;
        await delay(RETRY_DELAY_MS * failures, undefined, { ...(options.signal && { signal: options.signal }) });
      }
    }
  };
}
