import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Who read unmasked ISDNs, and how many today. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table ut360.pii_reads (
    id bigint generated always as identity primary key,
    read_at timestamptz not null default now(),
    subject text not null,
    operation text not null,
    isdns integer not null,
    request_id text)`.execute(db);
  await sql`create index pii_reads_read_at on ut360.pii_reads (read_at)`.execute(db);
  await sql`create table ut360.pii_quotas (
    subject text not null,
    day date not null,
    isdns bigint not null,
    primary key (subject, day))`.execute(db);
}
