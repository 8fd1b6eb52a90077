import { sql } from 'kysely';
import type { CatalogDb, CatalogTrx } from './database.ts';

/** Runs the work in one transaction; the outbox rows that it causes carry the caller's traceparent. */
export type WriteProducts = <T>(work: (trx: CatalogTrx) => Promise<T>, traceparent?: string) => Promise<T>;

/** `wake` is called after the commit: a NOTIFY inside the transaction would serialise all writers. */
export const createWriteProducts =
  (db: CatalogDb, wake: () => void): WriteProducts =>
  async (work, traceparent) => {
    const result = await db.transaction().execute(async (trx) => {
      if (traceparent !== undefined) await sql`select set_config('millrace.traceparent', ${traceparent}, true)`.execute(trx);
      return work(trx);
    });
    wake();
    return result;
  };
