import { inTransaction } from '@millrace/database';
import type { Pool } from 'pg';
import type { CatalogDb } from './database.ts';
import { emptyTotals, goodRows, isBrokenFile } from './import-products.ts';
import type { ImportPorts, PendingRow } from './import-products.ts';
import type { ImportRow } from './import-rows.ts';
import { stageRows, upsertStaged } from './import.repository.ts';

/** All or nothing, undone by a throw. */
class RolledBack extends Error {
  override readonly name = 'RolledBack';
}

/** Nothing else is said before the end: callers and proxies take a silent answer for a dead one. */
const PROGRESS_EVERY_MS = 2_000;

interface AtomicDeps { readonly db: CatalogDb; readonly pool: Pool; readonly traceparent: string | undefined }

/** Stages every row first; one bad row, or a file that breaks off, and nothing is imported. */
export async function importAtomically(rows: AsyncIterable<ImportRow>, ports: ImportPorts, { db, pool, traceparent }: AtomicDeps): Promise<{ totals: ReturnType<typeof emptyTotals>; error: string | null }> {
  const totals = emptyTotals();
  const progress = setInterval(() => {
    const { lastGoodLine: _lastGoodLine, ...counts } = totals;
    // A caller that has gone is noticed by the next row, or does not stop the commit.
    ports.emit({ type: 'progress', ...counts, bytes: ports.bytesRead() }).catch(() => undefined);
  }, PROGRESS_EVERY_MS);
  let error: string | null = null;
  let staged = 0;
  const counted = async function* (): AsyncGenerator<PendingRow> {
    for await (const row of goodRows(rows, ports, totals)) {
      staged += 1;
      totals.lastGoodLine = row.line;
      yield row;
    }
  };
  try {
    await inTransaction(pool, async (client) => {
      await client.query('set local statement_timeout = 0');
      await stageRows(client, counted());
      if (totals.failed > 0) throw new RolledBack(`${totals.failed} of ${totals.rows} rows are bad: nothing was imported`);
      await client.query(`select set_config('millrace.traceparent', $1, true)`, [traceparent ?? '']);
      Object.assign(totals, await upsertStaged(client, db, staged));
    });
  } catch (failure) {
    if (failure instanceof RolledBack) error = failure.message;
    else if (isBrokenFile(failure)) error = `the file breaks off after line ${totals.lastGoodLine ?? 0}: nothing was imported`;
    else throw failure;
  } finally {
    clearInterval(progress);
  }
  return { totals, error };
}
