import { untilDone } from '@millrace/service';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import { Migrator } from 'kysely/migration';
import type { Migration } from 'kysely/migration';

/** A service's own Postgres schema, as ordered migrations (their names sort). */
export interface SchemaMigrations {
  readonly schema: string;
  readonly migrations: Readonly<Record<string, Migration>>;
}

/** Brings one schema to its newest version, under a lock. Returns the names that were applied now. */
export async function migrateSchema(db: Kysely<unknown>, { schema, migrations }: SchemaMigrations): Promise<readonly string[]> {
  await sql`create schema if not exists ${sql.id(schema)}`.execute(db);
  const migrator = new Migrator({ db, provider: { getMigrations: async () => ({ ...migrations }) }, migrationTableSchema: schema });
  const { error, results } = await migrator.migrateToLatest();
  if (error !== undefined) {
    const failed = results?.find((result) => result.status === 'Error')?.migrationName ?? 'unknown';
    throw new Error(`migration ${schema}/${failed} failed: ${error instanceof Error ? error.message : 'unknown error'}`, { cause: error });
  }
  return (results ?? []).map((result) => result.migrationName);
}

/** Services never migrate: rejects, naming what to do, unless the schema has the version that they were built for or a newer one. */
export async function checkSchemaVersion<S>(db: Kysely<S>, { schema, migrations }: SchemaMigrations): Promise<void> {
  const newest = Object.keys(migrations).toSorted().at(-1) ?? '';
  const table = `${schema}.kysely_migration`;
  const exists = await sql<{ oid: string | null }>`select to_regclass(${table})::text as oid`.execute(db);
  const found = exists.rows[0]?.oid == null ? undefined : await sql<{ name: string | null }>`select max(name) as name from ${sql.id(schema, 'kysely_migration')}`.execute(db);
  const version = found?.rows[0]?.name ?? '';
  if (version < newest) throw new Error(`the schema ${schema} is at ${version === '' ? 'none' : version}, this service needs ${newest}: run "millrace migrate"`);
}

/**
 * Resolves once the database answers and its schema is new enough. Until then the service stays up and not ready, and says why at the first
 * and every twentieth try: nobody has to start it again when Postgres comes back, or the migration has run.
 */
export async function waitForSchema<S>(db: Kysely<S>, schema: SchemaMigrations, logger: { warn(fields: object, message: string): void }): Promise<void> {
  let failures = 0;
  const onFailure = (err: unknown): void => {
    if (failures++ % 20 === 0) logger.warn({ err, schema: schema.schema }, 'waiting for the database');
  };
  await untilDone(() => checkSchemaVersion(db, schema).then(() => true), { signal: new AbortController().signal, onFailure });
}
