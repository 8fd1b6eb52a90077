import type { Pool, PoolClient } from 'pg';
import { ErasureSecretError } from '../errors.ts';
import { schema } from '../load/tables.ts';
import type { ErasedList } from './erased-filter.ts';
import { createErasureKey } from './erasure-key.ts';
import type { ErasureKey } from './erasure-key.ts';

type Db = Pick<Pool | PoolClient, 'query'>;

/** Who was erased under which secret: the tables of migration 005. */
export const erasureTableStatements = (): readonly string[] => [
  `create table ${schema}.erased (
    seq bigint generated always as identity,
    hmac text primary key,
    mark integer not null,
    sealed bytea,
    erased_at timestamptz not null default now(),
    done_at timestamptz)`,
  `create index erased_open on ${schema}.erased (seq) where sealed is not null`,
  `create table ${schema}.erasure_secret (only_one boolean primary key default true check (only_one), fingerprint text not null)`,
];

/**
 * The key of erasures. Throws ErasureSecretError where there is no secret, or another one than that which subscribers were erased under: they
 * would come back unseen.
 */
export async function requireErasureKey(db: Db, secret: string | undefined): Promise<ErasureKey> {
  if (secret === undefined) throw new ErasureSecretError('subscribers were erased, and nobody can tell here who: set UT360_ERASURE_SECRET to what it was then. Nothing was changed');
  const key = createErasureKey(secret);
  const { rows } = await db.query<{ fingerprint: string }>(`select fingerprint from ${schema}.erasure_secret where exists (select 1 from ${schema}.erased)`);
  if (rows[0] !== undefined && rows[0].fingerprint !== key.fingerprint) throw new ErasureSecretError('subscribers were erased under another UT360_ERASURE_SECRET: set that one again, or they would come back unseen. Nothing was changed');
  return key;
}

/** Undefined where nobody was ever erased: then no secret is needed. Throws as `requireErasureKey`. */
export async function readErased(db: Db, secret: string | undefined): Promise<ErasedList | undefined> {
  const { rows } = await db.query<{ hmac: string; mark: number }>(`select hmac, mark from ${schema}.erased`);
  if (rows.length === 0) return undefined;
  const { hmacKey, coverMark } = await requireErasureKey(db, secret);
  return { hmacKey, hmacs: rows.map(({ hmac }) => hmac), marks: rows.map(({ hmac, mark }) => coverMark(hmac, mark)) };
}

/** ISDNs of those who are recorded, and may still be in the stores. Throws as `requireErasureKey`. */
export async function readOpenErasures(db: Db, secret: string | undefined): Promise<readonly string[]> {
  const { rows } = await db.query<{ sealed: Buffer }>(`select sealed from ${schema}.erased where sealed is not null order by seq`);
  if (rows.length === 0) return [];
  const { unseal } = await requireErasureKey(db, secret);
  return rows.map(({ sealed }) => unseal(sealed));
}

/** A number that grows with everybody who is erased. */
export async function countErased(db: Db): Promise<number> {
  const { rows } = await db.query<{ last: string }>(`select coalesce(max(seq), 0)::text as last from ${schema}.erased`);
  return Number(rows[0]?.last ?? 0);
}

/** Is somebody recorded, and not yet out of both stores? */
export async function hasOpenErasures(db: Db): Promise<boolean> {
  return ((await db.query(`select 1 from ${schema}.erased where sealed is not null limit 1`)).rowCount ?? 0) > 0;
}
