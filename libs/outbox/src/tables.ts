import { sql } from 'kysely';
import type { QueryExecutorProvider } from 'kysely';

/**
 * The relay's tables, for a migration of the service that owns the schema. Run it as the role that the relay connects with: only
 * the owner may make and drop partitions (elsewhere rows stay in the default partition and are deleted after a day, which is slower).
 *
 * Writers insert into `outbox` only: stream, event_type, key, version, data (JSON text), traceparent; in the transaction of the change.
 */
export async function createOutboxTables(db: QueryExecutorProvider, { schema }: { readonly schema: string }): Promise<void> {
  const table = (name: string) => sql.id(schema, name);
  const statements = [
    // Rows live for milliseconds: vacuum by count, or the claim's scan by seq walks over the dead.
    sql`create table ${table('outbox')} (
      seq bigserial primary key,
      event_id uuid not null default gen_random_uuid(),
      stream text not null,
      event_type text not null,
      key text,
      version bigint,
      data text,
      traceparent text,
      created_at timestamptz not null default clock_timestamp()
    ) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_scale_factor = 0.2)`,
    // What was published in the last day, for a replay when Redis has lost it. Dropped by the hour, never vacuumed.
    sql`create table ${table('outbox_published')} (
      batch_id bigint not null,
      seq bigint not null,
      event_id uuid not null,
      stream text not null,
      event_type text not null,
      key text,
      version bigint,
      data text,
      traceparent text,
      created_at timestamptz not null,
      published_at timestamptz not null default now()
    ) partition by range (published_at)`,
    sql`create index outbox_published_batch on ${table('outbox_published')} (batch_id)`,
    sql`create table ${table('outbox_published_default')} partition of ${table('outbox_published')} default`,
    sql`create sequence ${table('relay_batch_ids')}`,
    // The id of a batch's last entry, as numbers: last_ms-last_number.
    sql`create table ${table('relay_batches')} (
      stream text not null,
      id bigint not null,
      first_seq bigint not null,
      last_seq bigint not null,
      last_ms bigint not null,
      last_number bigint not null,
      entries integer not null,
      published_at timestamptz not null default now(),
      primary key (stream, id)
    )`,
    // republish_from: a replay is under way and has got to this batch.
    sql`create table ${table('relay_state')} (
      stream text primary key,
      epoch text not null,
      republish_from bigint
    )`,
  ];
  for (const statement of statements) await statement.execute(db);
}
