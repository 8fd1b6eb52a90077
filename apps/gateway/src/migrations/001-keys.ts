import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** API keys by their hash, and the audit log that nobody may change. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `create table gateway.api_keys (
     id text primary key,
     name text not null,
     hash text not null unique,
     scopes text[] not null,
     is_development boolean not null default false,
     created_at timestamptz not null default now(),
     expires_at timestamptz,
     revoked_at timestamptz)`,
  `create table gateway.audit_log (
     id bigint generated always as identity primary key,
     at timestamptz not null default now(),
     key_id text not null,
     operation text not null,
     method text not null,
     path text not null,
     status integer not null,
     request_id text not null)`,
  'create index audit_log_at on gateway.audit_log (at)',
  `create function gateway.refuse_change() returns trigger language plpgsql as $$ begin raise exception 'the audit log is append-only'; end $$`,
  'create trigger audit_log_append_only before update or delete or truncate on gateway.audit_log for each statement execute function gateway.refuse_change()',
];
