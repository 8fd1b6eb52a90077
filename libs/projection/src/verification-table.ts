import { sql } from 'kysely';
import type { QueryExecutorProvider } from 'kysely';
import type { Verification } from './reconcile.ts';

/** The table of the last verification, for a migration of the service that owns the schema. */
export async function createVerificationTable(db: QueryExecutorProvider, { schema }: { readonly schema: string }): Promise<void> {
  await sql`create table ${sql.id(schema, 'verification')} (
    only_row boolean primary key default true check (only_row),
    found jsonb not null)`.execute(db);
}

export async function recordVerification(db: QueryExecutorProvider, schema: string, verification: Verification): Promise<void> {
  await sql`insert into ${sql.id(schema, 'verification')} (found) values (${JSON.stringify(verification)}::jsonb) on conflict (only_row) do update set found = excluded.found`.execute(db);
}

/** The last one of any instance. */
export async function findVerification(db: QueryExecutorProvider, schema: string): Promise<Verification | undefined> {
  const found = await sql<{ found: Verification }>`select found from ${sql.id(schema, 'verification')}`.execute(db);
  return found.rows[0]?.found;
}
