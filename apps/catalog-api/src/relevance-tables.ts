import { checkIfMatch } from '@millrace/http';
import { AppError } from '@millrace/service';
import { sql } from 'kysely';
import type { CatalogTrx } from './database.ts';

export interface ListPage {
  /** The last id of the page before; 0 = from the beginning. */
  readonly after: number;
  readonly limit: number;
  /** Only those with a version above it. */
  readonly changedSince?: number;
}

/** Versions that a writer takes to be the current one. */
export type AcceptedVersions = '*' | readonly number[];
type Table = 'synonyms' | 'rules';

/** Holds back every other change until the transaction ends. */
const lockState = (trx: CatalogTrx) => trx.selectFrom('catalog.relevance_state').select('revision').forUpdate().execute();

/** Throws conflict where the table is full. Other writers wait, so that none slips in between. */
export async function checkRoom(trx: CatalogTrx, table: Table, most: number): Promise<void> {
  await lockState(trx);
  const { rows } = await sql<{ count: number }>`select count(*) as count from ${sql.table(`catalog.${table}`)}`.execute(trx);
  if ((rows[0]?.count ?? 0) >= most) throw new AppError('conflict', `there are ${most} ${table} already, and there cannot be more: delete some that are no longer needed`);
}

/** false: there is no such row. Throws precondition_failed where it is another version than those that are accepted. */
export async function checkVersion(trx: CatalogTrx, table: Table, id: number, accepted: AcceptedVersions): Promise<boolean> {
  await lockState(trx);
  const { rows } = await sql<{ version: number }>`select version from ${sql.table(`catalog.${table}`)} where id = ${id}`.execute(trx);
  const version = rows[0]?.version;
  if (version === undefined) return false;
  checkIfMatch(accepted, { version, content_version: version });
  return true;
}
