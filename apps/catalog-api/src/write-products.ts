import { sql } from 'kysely';
import type { CatalogDb, CatalogTrx } from './database.ts';

export interface WriteOptions {
  readonly traceparent?: string | undefined;
  /** Longest wait for each row that somebody else changes; default: as long as a statement may take. */
  readonly lockTimeoutMs?: number;
}

/** Runs the work in one transaction; the outbox rows that it causes carry the caller's traceparent. */
export type WriteProducts = <T>(work: (trx: CatalogTrx) => Promise<T>, options: WriteOptions) => Promise<T>;

/** `wake` is called after the commit: a NOTIFY inside the transaction would serialise all writers. */
export const createWriteProducts =
  (db: CatalogDb, wake: () => void): WriteProducts =>
  async (work, { traceparent = '', lockTimeoutMs = 0 }) => {
    const result = await db.transaction().execute(async (trx) => {
      await sql`select set_config('millrace.traceparent', ${traceparent}, true), set_config('lock_timeout', ${`${lockTimeoutMs}`}, true)`.execute(trx);
      return work(trx);
    });
    wake();
    return result;
  };
