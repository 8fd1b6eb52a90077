import { importProducts, isCurrency } from '@millrace/contracts';
import type { ImportLine } from '@millrace/contracts';
import { route, traceparentOf } from '@millrace/http';
import { AppError } from '@millrace/service';
import { Router } from 'express';
import type { Request, Response } from 'express';
import type { Pool } from 'pg';
import type { CatalogDb } from './database.ts';
import { importAtomically } from './import-atomically.ts';
import { importInBatches, toReport } from './import-products.ts';
import type { ImportPorts } from './import-products.ts';
import { importRows } from './import-rows.ts';
import { compareBatch, findUnknownMerchants, upsertBatch } from './import.repository.ts';
import { drained } from './drained.ts';
import { createRowMapper, parseMappings } from './map-row.ts';
import type { WriteProducts } from './write-products.ts';

export interface ImportRoutesDeps {
  readonly db: CatalogDb;
  /** For imports that are all or nothing: each holds a connection as long as it lasts. */
  readonly atomicPool: Pool;
  readonly write: WriteProducts;
  readonly wake: () => void;
  readonly defaultCurrency: string;
}

/** By the query, else by the Content-Type. */
function formatOf(req: Request, wanted: 'ndjson' | 'csv' | undefined): 'ndjson' | 'csv' {
  const type = req.get('content-type') ?? '';
  const format = wanted ?? (/text\/csv/.test(type) ? 'csv' : /ndjson|jsonl|jsonlines/.test(type) ? 'ndjson' : undefined);
  if (format === undefined)
    throw new AppError('unsupported_media_type', 'send application/x-ndjson or text/csv, or name the format in the query', { details: [{ in: 'headers', pointer: '/content-type', detail: 'must be application/x-ndjson or text/csv' }] });
  return format;
}

function checkCurrency(currency: string): string {
  if (!isCurrency(currency)) throw new AppError('invalid_request', `${currency.slice(0, 20)} is not an ISO 4217 currency`, { details: [{ in: 'query', pointer: '/currency', detail: 'must be an ISO 4217 currency code' }] });
  return currency;
}

/** Writes NDJSON lines at the reader's pace. */
const lineWriter =
  (res: Response) =>
  async (line: ImportLine): Promise<void> => {
    if (res.destroyed) throw new AppError('invalid_request', 'the caller has gone away');
    if (!res.headersSent) res.type('application/x-ndjson').set('X-Accel-Buffering', 'no');
    if (!res.write(`${JSON.stringify(line)}\n`)) await drained(res);
  };

export function importRoutes({ db, atomicPool, write, wake, defaultCurrency }: ImportRoutesDeps): Router {
  const router = Router();
  route(router, importProducts, async ({ query, req, res }) => {
    const startMs = performance.now();
    const traceparent = traceparentOf(req);
    let bytes = 0;
    const rows = importRows(req, { format: formatOf(req, query.format), ...(query.encoding !== undefined && { encoding: query.encoding }), ...(query.delimiter !== undefined && { delimiter: query.delimiter }) }, (more) => void (bytes += more));
    const ports: ImportPorts = {
      mapRow: createRowMapper({ mappings: parseMappings(query.map), currency: checkCurrency(query.currency ?? defaultCurrency) }),
      findUnknownMerchants: (ids) => findUnknownMerchants(db, ids),
      applyBatch: (products) => (query.dry_run ? compareBatch(db, products) : write((trx) => upsertBatch(trx, products), { traceparent })),
      emit: lineWriter(res),
      bytesRead: () => bytes,
    };
    const atomic = query.atomic && !query.dry_run;
    if (atomic && atomicPool.idleCount === 0 && atomicPool.totalCount >= atomicPool.options.max) throw new AppError('unavailable', 'two atomic imports are running already: try again later', { headers: { 'Retry-After': '10' } });
    const { totals, error } = atomic ? await importAtomically(rows, ports, { db, pool: atomicPool, traceparent }) : await importInBatches(rows, ports);
    if (atomic) wake();
    const committed = !query.dry_run && (!atomic || (error === null && totals.failed === 0));
    await ports.emit({ type: 'report', ...toReport(totals, { dry_run: query.dry_run, atomic: query.atomic, committed, error, seconds: Math.round(performance.now() - startMs) / 1_000 }) });
    res.end();
    return undefined;
  });
  return router;
}
